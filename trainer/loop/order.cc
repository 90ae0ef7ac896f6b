#include "trainer/loop/order.h"

#include <cstddef>
#include <numeric>
#include <utility>

#include "trainer/data/random.h"

namespace scalelaw::trainer {

std::vector<int64_t> DataOrder::samples(int64_t first, int64_t count) {
  std::vector<int64_t> scenes(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    int64_t epoch = (first + i) / size_;
    if (epoch != shuffled_epoch_) shuffle(epoch);
    scenes[static_cast<size_t>(i)] = order_[static_cast<size_t>((first + i) % size_)];
  }
  return scenes;
}

void DataOrder::shuffle(int64_t epoch) {
  order_.resize(static_cast<size_t>(size_));
  std::iota(order_.begin(), order_.end(), 0);
  const uint64_t stream = mix(seed_, static_cast<uint64_t>(epoch));
  for (size_t i = order_.size() - 1; i > 0; --i) {
    std::swap(order_[i], order_[static_cast<size_t>(below(mix(stream, i), static_cast<int64_t>(i) + 1))]);
  }
  shuffled_epoch_ = epoch;
}

}  // namespace scalelaw::trainer
