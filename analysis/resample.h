// The same fit under many weightings of its rows: what a bootstrap by pairs asks for.
#pragma once

#include <Eigen/Dense>

#include <cstdint>
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
/// are polished under the true criterion, as are the minima of the whole sample: weights that suit one of these hide
/// the others, and which of them is best may change from draw to draw.
///
/// Where it is cheap, and for a form with starts of its own or with linear coordinates of either sign, each draw gets
/// `minimise_replicate` instead.
///
/// Of more than kSearchRows rows, only the minima of the whole sample are polished for each draw.
///
/// Rows are visited in blocks: room is needed for a block's coefficients, never for those of all rows.
class Resampler {
 public:
  /// Draws that are worked on together.
  static constexpr Eigen::Index kBatch = 48;

  /// `optima`: of the whole sample, as `minimise` gives them, at least one. Keeps references to all four.
  Resampler(const Form& form, const Sample& sample, const Criterion& criterion, const std::vector<Optimum>& optima);

  /// The global optimum under each column's row weights (rows × draws). Safe from several threads. An optimum does not
  /// depend on what other columns there are.
  std::vector<Optimum> minimise(const Eigen::MatrixXd& weights) const;

 private:
  /// A column of the basis at a grid point, or what is left of y beside its offset (column = linear_).
  struct Source {
    size_t point = 0;
    Eigen::Index column = 0;
  };

  const Form& form_;
  const Sample& sample_;
  const Criterion& criterion_;
  const std::vector<Optimum>& optima_;
  /// Nothing is shared between draws.
  bool full_search_ = false;
  Grid grid_;
  Box box_;
  Eigen::Index linear_ = 0;
  /// Coefficients of a grid point's quadratic: the lower triangle of G, then h, then the constant.
  Eigen::Index features_ = 0;
  /// Where each coefficient stands among the distinct ones: grid point by grid point.
  std::vector<std::int32_t> place_;
  /// Distinct columns, in the order of their grid points; distinct coefficients, as products of two of these.
  std::vector<Source> columns_;
  std::vector<std::pair<int, int>> products_;
  /// What a row's squared deviation from y counts.
  Eigen::VectorXd scale_;

  bool many_rows() const { return sample_.y.size() > kSearchRows; }
  /// All columns at a grid point, what is left of y being the last.
  class Columns;
  void find_distinct();
  /// Distinct coefficients × draws, by rows.
  std::vector<double> coefficients(const Eigen::MatrixXd& weights, Eigen::Index from, Eigen::Index count) const;
  /// Within a grid step in every exponent: the same basin.
  bool near(size_t point, const SmallVector& coordinates) const;
  /// The rows that were drawn at all.
  Sample drawn_rows(const Eigen::VectorXd& weight) const;
  /// The best of the whole sample's minima, each polished on what was drawn.
  Optimum best_basin(const Sample& drawn) const;
  /// coefficients: of one draw, `stride` apart. starts: where its quadratics' minima are lowest on the grid, best
  /// first.
  Optimum minimise_one(const double* coefficients, Eigen::Index stride, const std::vector<size_t>& starts,
                       const Eigen::VectorXd& weight) const;
};

}  // namespace scalelaw::analysis
