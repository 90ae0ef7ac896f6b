// Quantiles: of samples, and of the distributions that intervals rest on. See random.h for the normal one.
#pragma once

#include <vector>

namespace scalelaw::analysis {

/// Linear interpolation between order statistics (Hyndman and Fan 1996, type 7); `sorted` is not empty, 0 ≤ q ≤ 1.
double quantile(const std::vector<double>& sorted, double q);

/// Distribution function of the standard normal distribution.
double normal_cdf(double z);

/// Quantile of Student's distribution with dof ≥ 1 degrees of freedom at 0.5 ≤ p < 1.
double student_quantile(double p, int dof);

/// Quantile of χ² with dof ≥ 1 degrees of freedom, to about 1 % (Wilson and Hilferty 1931).
double chi_squared_quantile(double p, int dof);

}  // namespace scalelaw::analysis
