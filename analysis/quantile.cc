#include "analysis/quantile.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "analysis/random.h"

namespace scalelaw::analysis {
namespace {

/// P(|T| < √ν·tan θ) for Student's T with ν degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
double student_central(double theta, int dof) {
  const double cosine = std::cos(theta), square = cosine * cosine;
  const bool odd = dof % 2 == 1;
  double term = odd ? cosine : 1, sum = dof == 1 ? 0 : term;
  for (int k = odd ? 3 : 2; k < dof; k += 2) {
    term *= square * (k - 1) / k;
    sum += term;
  }
  return odd ? 2 / std::numbers::pi * (theta + std::sin(theta) * sum) : std::sin(theta) * sum;
}

}  // namespace

double quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  if (sorted[below] == sorted[above]) return sorted[below];
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double normal_cdf(double z) {
  return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

double student_quantile(double p, int dof) {
  constexpr int kNearlyNormal = 300;
  if (dof > kNearlyNormal) {
    // Cornish and Fisher's expansion: A&S 26.7.5.
    const double z = normal_quantile(p), v = dof;
    return z + (z * z * z + z) / (4 * v) + (5 * std::pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * v * v);
  }
  double low = 0, high = std::numbers::pi / 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (student_central(middle, dof) < 2 * p - 1 ? low : high) = middle;
  }
  return std::sqrt(dof) * std::tan((low + high) / 2);
}

double chi_squared_quantile(double p, int dof) {
  const double v = 2.0 / (9.0 * dof);
  const double root = 1 - v + normal_quantile(p) * std::sqrt(v);
  return dof * root * root * root;
}

}  // namespace scalelaw::analysis
