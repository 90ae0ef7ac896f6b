// Where a function of one variable changes its sign.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace scalelaw::analysis {

/// A root of `function` in [low, high], where its signs differ, to ±tolerance in x; NaN where they do not differ.
///
/// The ITP method (Oliveira and Takahashi 2020): superlinear on smooth functions, never more than one evaluation
/// worse than bisection on others; an end at which the function is infinite is bisected away.
template <class Function>
double root(const Function& function, double low, double high, double tolerance) {
  double at_low = function(low), at_high = function(high);
  if (at_low == 0) return low;
  if (at_high == 0) return high;
  if (!(at_low < 0 && at_high > 0) && !(at_low > 0 && at_high < 0)) return std::numeric_limits<double>::quiet_NaN();
  const double truncation = 0.2 / (high - low);
  double slack = tolerance * std::exp2(std::max(0.0, std::ceil(std::log2((high - low) / (2 * tolerance)))) + 1);
  while (high - low > 2 * tolerance) {
    const double middle = (low + high) / 2;
    const double secant = (low * at_high - high * at_low) / (at_high - at_low);
    double x = middle;
    if (std::isfinite(secant)) {
      const double towards = secant < middle ? 1 : -1;
      const double shift = truncation * (high - low) * (high - low);
      if (shift <= std::abs(middle - secant)) x = secant + towards * shift;
      const double reach = slack - (high - low) / 2;
      if (std::abs(x - middle) > reach) x = middle - towards * reach;
    }
    slack /= 2;
    if (!(x > low && x < high)) x = middle;
    if (!(x > low && x < high)) break;
    const double at_x = function(x);
    if (at_x == 0) return x;
    if ((at_x < 0) == (at_low < 0)) {
      low = x;
      at_low = at_x;
    } else {
      high = x;
      at_high = at_x;
    }
  }
  return (low + high) / 2;
}

}  // namespace scalelaw::analysis
