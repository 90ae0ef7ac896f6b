/// How long to wait before the next try: doubling up to a cap, each time a random part of it. Pure but for the seed.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace scalelaw::worker {

class Backoff {
 public:
  using Duration = std::chrono::milliseconds;
  Backoff(Duration first, Duration most, std::uint64_t seed)
      : first_(first), most_(most), next_(first), random_(seed) {}

  /// Between half of the current step and all of it, so that a thousand workers do not come back in one moment.
  Duration next() {
    const double part = std::uniform_real_distribution<>(0.5, 1.0)(random_);
    const auto wait = Duration(static_cast<Duration::rep>(part * static_cast<double>(next_.count())));
    next_ = std::min(most_, 2 * next_);
    return wait;
  }
  void reset() { next_ = first_; }

 private:
  Duration first_;
  Duration most_;
  Duration next_;
  std::mt19937_64 random_;
};

}  // namespace scalelaw::worker
