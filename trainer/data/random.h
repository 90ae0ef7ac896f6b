// Random numbers that are a pure function of where they are used: the same on every machine and after every resume.
#pragma once

#include <cstdint>

namespace scalelaw::trainer {

/// splitmix64: a bijective mix of 64 bits (Steele et al. 2014).
constexpr uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// One number for a pair, order mattering.
constexpr uint64_t mix(uint64_t a, uint64_t b) {
  return mix(mix(a) + b);
}

/// Uniform in [0, bound), by multiplication; the bias is below bound / 2^32.
constexpr int64_t below(uint64_t random, int64_t bound) {
  return static_cast<int64_t>(((random >> 32) * static_cast<uint64_t>(bound)) >> 32);
}

/// Uniform in [0, 1).
constexpr double unit(uint64_t random) {
  return static_cast<double>(random >> 11) * 0x1p-53;
}

}  // namespace scalelaw::trainer
