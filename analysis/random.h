// Random numbers that depend on (seed, stream) only: the same draw whatever thread makes it, in whatever order.
#pragma once

#include <cstdint>

namespace scalelaw::analysis {

/// SplitMix64 (Steele et al. 2014) from a seed and a stream number.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream) : state_(mix(seed) ^ mix(~stream * 0x9e3779b97f4a7c15u)) {}

  std::uint64_t bits() { return mix(state_ += 0x9e3779b97f4a7c15u); }
  /// In (0, 1), both ends excluded.
  double uniform() { return (static_cast<double>(bits() >> 12) + 0.5) * 0x1p-52; }
  /// In [0, n).
  std::uint64_t below(std::uint64_t n) { return static_cast<std::uint64_t>(uniform() * static_cast<double>(n)); }
  double normal();
  /// χ² with this many degrees of freedom, ≥ 1.
  double chi_squared(int degrees);

 private:
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

/// Quantile of the standard normal distribution, to 1e-9 relative (Acklam 2003), 0 < u < 1.
double normal_quantile(double u);

}  // namespace scalelaw::analysis
