/// A token bucket: so many bytes per second, and so many at once. Pure; time is an argument.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace scalelaw::worker {

class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  RateLimit(double bytes_per_second, double burst_bytes)
      : rate_(bytes_per_second), burst_(burst_bytes), tokens_(burst_bytes) {}

  /// Bytes that may pass now.
  std::int64_t available(Time now) {
    if (last_ != Time{} && now > last_) {
      tokens_ = std::min(burst_, tokens_ + rate_ * std::chrono::duration<double>(now - last_).count());
    }
    last_ = std::max(last_, now);
    return static_cast<std::int64_t>(tokens_);
  }
  /// Takes what has passed; a little more than was available is paid back later.
  void take(std::int64_t bytes) { tokens_ -= static_cast<double>(bytes); }

 private:
  double rate_;
  double burst_;
  double tokens_;
  Time last_{};
};

}  // namespace scalelaw::worker
