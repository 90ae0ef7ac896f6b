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
/// linear in the row weights: all of them, for all grid points and many draws, are one product of matrices. Grid points
/// have most of them in common (N^−2α does not depend on β), and what is common is computed once. Rows are reweighted
/// once for a robust penalty, by the residuals of the fit to the whole sample. The grid's minima under that quadratic
/// are polished under the true criterion, as is the optimum of the whole sample.
class Resampler {
 public:
  /// Draws that are worked on together.
  static constexpr Eigen::Index kBatch = 50;

  /// `optimum`: the fit to the whole sample. Keeps references to form, sample and criterion.
  Resampler(const Form& form, const Sample& sample, const Criterion& criterion, const Optimum& optimum);

  /// The global optimum under each column's row weights (rows × draws). Safe from several threads. An optimum does not
  /// depend on what other columns there are.
  std::vector<Optimum> minimise(const Eigen::MatrixXd& weights) const;

 private:
  const Form& form_;
  const Sample& sample_;
  const Criterion& criterion_;
  const Optimum optimum_;
  Grid grid_;
  Eigen::Index linear_ = 0;
  /// Coefficients of a grid point's quadratic: the upper triangle of G, then h, then the constant.
  Eigen::Index features_ = 0;
  /// Where each coefficient stands among the distinct ones: grid point by grid point.
  std::vector<int> place_;
  /// Distinct coefficients by rows.
  Eigen::MatrixXd distinct_;

  /// Within two grid steps in every exponent: the same basin.
  bool near(size_t point, const SmallVector& coordinates) const;
  /// The rows that were drawn at all.
  Sample drawn_rows(const Eigen::VectorXd& weight) const;
  Optimum minimise_one(const double* coefficients, const Eigen::VectorXd& weight) const;
};

}  // namespace scalelaw::analysis
