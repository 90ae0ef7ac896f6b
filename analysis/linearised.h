// A fit near its optimum, as the linear model with the same derivatives: leverages, standard errors, correlations and
// how well conditioned the problem is.
#pragma once

#include <Eigen/Dense>

#include <string>
#include <vector>

#include "analysis/problem.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

/// The reported parameters as smooth functions of the coordinates: those that are positive by their nature by their
/// logarithms, so that what is linear in the exponents stays so whatever the units of x.
class ParameterScale {
 public:
  /// `at`: where a parameter must be positive for its logarithm to be taken.
  ParameterScale(const Problem& problem, const Sample& sample, const SmallVector& at);

  int count() const { return static_cast<int>(log_.size()); }
  /// The parameter j, or its logarithm.
  double at(int j, const SmallVector& coordinates) const;
  double natural(int j, double scaled) const;
  /// What the coordinates' bounds leave to parameter j, in natural units; ±infinity where nothing bounds it.
  double lowest(int j) const { return lowest_[j]; }
  double highest(int j) const { return highest_[j]; }
  /// Gradient and Hessian by coordinates, by central differences.
  void derivatives(int j, const SmallVector& coordinates, SmallVector& gradient, SmallMatrix& hessian) const;

 private:
  const Form& form_;
  const std::vector<double>& log_scale_;
  std::vector<bool> log_;
  std::vector<double> lowest_, highest_;
};

/// The residuals and their derivatives at the optimum, each times the square root of its row's weight.
struct Linearised {
  Eigen::VectorXd residual;
  /// Rows × coordinates; zero in the columns of coordinates that are held at a bound.
  Eigen::MatrixXd jacobian;
  /// (JᵀJ)⁻¹ over the coordinates that are not held, zero elsewhere: covariance of the coordinates in units of the
  /// noise's variance.
  SmallMatrix inverse;
  /// Share of each row's value that its own curve point follows; in [0, 1).
  Eigen::VectorXd leverage;
  /// Condition number of J with columns of unit length (Belsley, Kuh and Welsch 1980); infinite where J is singular.
  double condition = 1;
  /// The coordinates that trade off in the worst-determined direction (more than a tenth of its square length each).
  std::vector<int> trading;
};

Linearised linearise(const Problem& problem, const Sample& sample, const SmallVector& coordinates);

/// Correlations of the parameters on the scale of `ParameterScale`; zero for a parameter that is held at a bound.
std::vector<std::vector<double>> correlations(const Linearised& linearised, const ParameterScale& scale,
                                              const SmallVector& coordinates);

}  // namespace scalelaw::analysis
