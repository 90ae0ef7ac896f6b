#include "cli/format.h"

#include <array>
#include <cmath>
#include <sstream>
#include <vector>

#include <fmt/format.h>

namespace scalelaw::cli {
namespace {

// Without trailing zeros after the point: 1.60 -> 1.6, 2.00 -> 2.
std::string trimmed(std::string number) {
  if (number.find('.') == std::string::npos) return number;
  number.erase(number.find_last_not_of('0') + 1);
  if (number.back() == '.') number.pop_back();
  return number;
}

}  // namespace

std::string format_scientific(double value) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  if (value == 0) return "0";
  if (std::fabs(value) >= 1 && std::fabs(value) < 1e4) return trimmed(fmt::format("{:.2f}", value));
  std::string text = fmt::format("{:.2e}", value);
  size_t e = text.find('e');
  return fmt::format("{}e{}", trimmed(text.substr(0, e)), std::stoi(text.substr(e + 1)));
}

std::string format_flops(double flops) {
  return format_scientific(flops) + " FLOPs";
}

std::string format_count(double count) {
  if (!std::isfinite(count)) return fmt::format("{}", count);
  constexpr std::array<const char*, 5> kSuffixes = {"", "k", "M", "B", "T"};
  size_t suffix = 0;
  // 999.5 and above would print as 1000: it belongs to the next suffix.
  while (std::fabs(count) >= 999.5 && suffix + 1 < kSuffixes.size()) {
    count /= 1000;
    ++suffix;
  }
  int decimals = suffix == 0 || std::fabs(count) >= 99.95 ? 0 : std::fabs(count) >= 9.995 ? 1 : 2;
  return trimmed(fmt::format("{:.{}f}", count, decimals)) + kSuffixes[suffix];
}

std::string format_value(double value) {
  return fmt::format("{:.4g}", value);
}

std::string format_duration(double seconds) {
  if (!(seconds > 0)) return "0 s";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  if (seconds > 1e9) return "forever";
  auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} m {:02} s", whole / 60, whole % 60);
  int64_t minutes = whole / 60;
  constexpr int64_t kDay = 24 * 60;
  if (minutes < kDay) return fmt::format("{} h {:02} m", minutes / 60, minutes % 60);
  return fmt::format("{} d {} h", minutes / kDay, minutes / 60 % 24);
}

std::string format_percent(double fraction) {
  if (!(fraction > 0)) return "0 %";
  if (fraction >= 1) return "100 %";
  return fmt::format("{} %", std::min(99, std::max(1, static_cast<int>(std::lround(fraction * 100)))));
}

std::string one_line(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    for (char& c : line)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    size_t begin = line.find_first_not_of(' ');
    if (begin != std::string::npos) lines.push_back(line.substr(begin, line.find_last_not_of(' ') + 1 - begin));
  }
  if (lines.empty()) return "";
  if (lines.size() == 1) return lines[0];
  return fmt::format("{} {}{}", lines.front(), lines.size() > 2 ? "… " : "", lines.back());
}

double seconds(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + 1e-9 * time.nanos();
}

}  // namespace scalelaw::cli
