#include "trainer/var/scales.h"

#include <charconv>
#include <stdexcept>

namespace scalelaw::trainer {

Scales::Scales(std::vector<int64_t> sides) : sides_(std::move(sides)), begins_{0} {
  if (sides_.empty()) throw std::invalid_argument("scales: at least one is needed");
  int64_t previous = 0;
  for (int64_t side : sides_) {
    if (side <= previous) throw std::invalid_argument("scales: must grow from 1 or more");
    previous = side;
    begins_.push_back(begins_.back() + side * side);
  }
}

Scales Scales::parse(std::string_view text) {
  std::vector<int64_t> sides;
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    int64_t side = 0;
    auto [next, error] = std::from_chars(at, end, side);
    if (error != std::errc() || (next != end && *next != ',')) {
      throw std::invalid_argument("scales: must be whole numbers with commas between, as \"1,2,3,4\"");
    }
    sides.push_back(side);
    if (next == end) return Scales(std::move(sides));
    at = next + 1;
  }
}

std::vector<int64_t> Scales::visible() const {
  std::vector<int64_t> visible;
  for (int64_t k = 0; k < count(); ++k) visible.insert(visible.end(), static_cast<size_t>(tokens(k)), end(k));
  return visible;
}

std::vector<int64_t> Scales::levels() const {
  std::vector<int64_t> levels;
  for (int64_t k = 0; k < count(); ++k) levels.insert(levels.end(), static_cast<size_t>(tokens(k)), k);
  return levels;
}

}  // namespace scalelaw::trainer
