// A straight line in logs, weighted: how one quantity grows with another where that is all there is to know.
#pragma once

#include <vector>

#include "absl/status/statusor.h"

namespace scalelaw::analysis {

/// y = coefficient·x^exponent with its errors.
struct PowerLaw {
  double coefficient = 0;
  double exponent = 0;
  double exponent_se = 0;
  double exponent_low95 = 0;
  double exponent_high95 = 0;
  /// ln y at x has the standard error √(level_se² + (ln x − log_centre)²·exponent_se²).
  double log_centre = 0;
  double level_se = 0;
  /// √(χ²/ν): how much wider the points scatter about the line than their standard deviations say. Where these are
  /// not given, the scatter's standard deviation itself, in logs.
  double scatter = 0;
  /// ν: points − 2.
  int dof = 0;
  /// Coefficient of determination of ln y, weighted.
  double r2 = 0;

  double at(double x) const;
  /// Standard error of ln y at x.
  double log_se(double x) const;
};

/// Weighted least squares of ln y on ln x, w = 1/log_std² (as Porian et al. 2024, arXiv 2406.19146, fit N*(C)).
///
/// `log_std`: standard deviations of ln y; empty: all equal and unknown. Errors of the line are those that the standard
/// deviations imply, times the scatter where that is above 1 (Birge 1932); intervals are Student's.
/// Errors: INVALID_ARGUMENT for lengths that differ or values that are not positive and finite; FAILED_PRECONDITION for
/// fewer than three points, or all at one x.
absl::StatusOr<PowerLaw> fit_power_law(const std::vector<double>& x, const std::vector<double>& y,
                                       const std::vector<double>& log_std = {});

}  // namespace scalelaw::analysis
