// A number with its interval from the draws of a bootstrap.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace scalelaw::analysis {

/// A value and its 95 % interval; low95 = high95 = value where the law has no draws. Infinite where there is no limit.
struct Estimate {
  double value = 0;
  double low95 = 0;
  double high95 = 0;
};

/// The order statistic at ⌊q·(n − 1) + ½⌋, so that infinite draws never mix with finite ones; `sorted` is not empty.
inline double order_statistic(const std::vector<double>& sorted, double q) {
  return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1) + 0.5)];
}

/// The interval from the draws' values, of which those that are not a number are left out.
inline Estimate summarise(double value, std::vector<double> draws) {
  std::erase_if(draws, [](double d) { return std::isnan(d); });
  if (draws.empty()) return {value, value, value};
  std::sort(draws.begin(), draws.end());
  return {value, order_statistic(draws, 0.025), order_statistic(draws, 0.975)};
}

}  // namespace scalelaw::analysis
