// Newton's method with damping inside a box: what turns a good grid point into an optimum at full precision.
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cmath>

#include "analysis/form.h"

namespace scalelaw::analysis {

/// Solves (H + damping·diag(scale))·step = −gradient by Cholesky; false where that is not positive definite. Eigen's is
/// written for larger matrices, and this is called for every step of every draw.
inline bool solve_damped(const SmallMatrix& hessian, double damping, const SmallVector& scale,
                         const SmallVector& gradient, SmallVector& step) {
  const auto size = static_cast<int>(gradient.size());
  double l[kMaxParameters][kMaxParameters], y[kMaxParameters];
  for (int a = 0; a < size; ++a) {
    double rest = -gradient[a];
    for (int b = 0; b < a; ++b) {
      double sum = hessian(a, b);
      for (int k = 0; k < b; ++k) sum -= l[a][k] * l[b][k];
      l[a][b] = sum * l[b][b];
      rest -= l[a][b] * y[b];
    }
    double pivot = hessian(a, a) + damping * scale[a];
    for (int k = 0; k < a; ++k) pivot -= l[a][k] * l[a][k];
    if (!(pivot > 0)) return false;
    // The diagonal is kept inverted.
    l[a][a] = 1 / std::sqrt(pivot);
    y[a] = rest * l[a][a];
  }
  for (int a = size; a-- > 0;) {
    double rest = y[a];
    for (int k = a + 1; k < size; ++k) rest -= l[k][a] * step[k];
    step[a] = rest * l[a][a];
  }
  return true;
}

/// Minimises a smooth function inside low ≤ p ≤ high from a start in the box, by Newton steps with exact Hessians,
/// damped as Levenberg and Marquardt do, on the coordinates that are not held at a bound. Returns the minimum value.
///
/// `function(p, out)` fills value, gradient and Hessian; a value that is not finite rejects the step. Or, where a value
/// alone is cheaper: `function.value(p)`, then `function.derivatives(p, out)` at a p that is kept.
template <class Function>
double newton(Function&& function, SmallVector& p, const SmallVector& low, const SmallVector& high,
              int max_iterations = 200) {
  const Eigen::Index size = p.size();
  constexpr bool kTwoSteps = requires {
    function.value(p);
  };
  SecondOrder here, there;
  const auto look = [&](const SmallVector& at) {
    if constexpr (kTwoSteps)
      there.value = function.value(at);
    else
      function(at, there);
  };
  const auto keep = [&](const SmallVector& at) {
    if constexpr (kTwoSteps) function.derivatives(at, there);
    std::swap(here, there);
  };
  look(p);
  if (!std::isfinite(there.value)) return there.value;
  keep(p);
  constexpr double kRounding = 1e-14;
  double damping = 1e-2;
  int tiny_steps = 0;
  for (int iteration = 0; iteration < max_iterations; ++iteration) {
    int free[kMaxParameters];
    int count = 0;
    for (int i = 0; i < size; ++i) {
      const bool held = (p[i] <= low[i] && here.gradient[i] > 0) || (p[i] >= high[i] && here.gradient[i] < 0);
      if (!held) free[count++] = i;
    }
    if (count == 0) break;
    SmallMatrix hessian(count, count);
    SmallVector gradient(count), scale(count);
    for (int a = 0; a < count; ++a) {
      gradient[a] = here.gradient[free[a]];
      for (int b = 0; b < count; ++b) hessian(a, b) = here.hessian(free[a], free[b]);
      // Beyond Huber's kink there is no curvature to damp: then steps are damped in units of the coordinate.
      const double unit = std::max(std::abs(p[free[a]]), 1e-3);
      scale[a] = std::max({std::abs(hessian(a, a)), std::abs(gradient[a]) / unit, 1e-300});
    }
    // Raise the damping until the model is convex and the step goes down.
    bool moved = false;
    while (damping < 1e12) {
      SmallVector step(count);
      if (solve_damped(hessian, damping, scale, gradient, step)) {
        // What the model has still to gain is lost in the value's rounding.
        if (damping <= 1 && -gradient.dot(step) <= kRounding * std::abs(here.value)) break;
        SmallVector next = p;
        for (int a = 0; a < count; ++a) next[free[a]] = std::clamp(p[free[a]] + step[a], low[free[a]], high[free[a]]);
        look(next);
        if (there.value < here.value) {
          const double gain = here.value - there.value;
          tiny_steps = gain <= 1e-13 * std::abs(here.value) ? tiny_steps + 1 : 0;
          p = next;
          keep(p);
          damping = std::max(damping * 0.03, 1e-14);
          moved = true;
          break;
        }
      }
      damping = std::max(damping * 10, 1e-10);
    }
    if (!moved || tiny_steps >= 2) break;
  }
  return here.value;
}

}  // namespace scalelaw::analysis
