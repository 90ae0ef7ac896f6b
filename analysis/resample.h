// The same fit under many weightings of its rows: what a bootstrap by pairs asks for.
#pragma once

#include <Eigen/Dense>

#include <vector>

#include "analysis/grid.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

/// Shares between draws all that does not depend on the weights.
///
/// At every grid point, the least-squares problem in the linear coordinates is a small quadratic whose coefficients are
/// linear in the row weights: all of them, for all grid points, are one matrix times the weights. Rows are reweighted
/// once for a robust penalty, by the residuals of the fit to the whole sample. The grid's minima under that quadratic
/// are polished under the true criterion.
class Resampler {
 public:
  /// `optimum`: the fit to the whole sample. Keeps references to form, sample and criterion.
  Resampler(const Form& form, const Sample& sample, const Criterion& criterion, const Optimum& optimum);

  /// The global optimum under these row weights. Safe from several threads.
  Optimum minimise(const Eigen::VectorXd& weight) const;

 private:
  const Form& form_;
  const Sample& sample_;
  const Criterion& criterion_;
  const Optimum optimum_;
  Grid grid_;
  Eigen::Index linear_ = 0;
  /// Coefficients of a grid point's quadratic: the upper triangle of G, then h, then the constant.
  Eigen::Index features_ = 0;
  /// (grid points × features) by rows, row-major: a draw is this times its weights.
  Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> quadratics_;
};

}  // namespace scalelaw::analysis
