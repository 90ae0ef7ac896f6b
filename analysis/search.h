// The global optimum of a fit: exhaustive over the exponents with the linear coordinates eliminated, then polished.
#pragma once

#include <Eigen/Dense>

#include <vector>

#include "analysis/criterion.h"
#include "analysis/form.h"

namespace scalelaw::analysis {

/// What a form is fitted to. Rows are points; weights multiply ρ.
struct Sample {
  /// ln x in units of each column's geometric mean (rows × columns).
  Eigen::MatrixXd logx;
  Eigen::VectorXd y;
  Eigen::VectorXd weight;
};

struct Optimum {
  SmallVector coordinates;
  /// Σ_i w_i·ρ(r_i).
  double objective = 0;
};

/// A sample of more rows than this is searched on so many of them, and the minima found there are polished on all: what
/// tells one basin from another does not hang on single rows then.
inline constexpr Eigen::Index kSearchRows = 8192;

/// All local minima found, best first; empty where the form cannot take the values at all.
///
/// Every combination of the forms' grids is visited; at each the linear coordinates are solved for exactly (subject to
/// their being ≥ 0 where they must; for a penalty other than least squares, by reweighting). Grid points that beat
/// their neighbours, or the starts of a form that has its own, are polished by Newton's method on all coordinates, and
/// those that meet are one minimum.
std::vector<Optimum> minimise(const Form& form, const Sample& sample, const Criterion& criterion);

/// The minimum of a sample that is a replicate of one whose minima, best first, are `known`. Where a grid is searched
/// it is searched again, and the best few known ones polished too. A form with starts of its own is polished from these
/// alone: its search costs as much as hundreds of descents, and replicates change which minimum is best rather than
/// make new ones.
Optimum minimise_replicate(const Form& form, const Sample& sample, const Criterion& criterion,
                           const std::vector<Optimum>& known);

/// Where the coordinates may be.
struct Box {
  explicit Box(const std::vector<Coordinate>& coordinates);
  SmallVector low, high;
};

/// As `minimise`, from one start only: a local minimum. Without a box: the one of the form on these points.
Optimum polish(const Form& form, const Sample& sample, const Criterion& criterion, const SmallVector& start);
Optimum polish(const Form& form, const Sample& sample, const Criterion& criterion, const Box& box,
               const SmallVector& start);

/// Σ_i w_i·ρ(r_i) with derivatives by coordinates. Keeps references to form and sample, and room to work in.
class Total {
 public:
  Total(const Form& form, const Sample& sample);
  void operator()(const Criterion& criterion, const SmallVector& coordinates, SecondOrder& out);
  /// In two steps: many points are only looked at. Infinite where the criterion is not defined.
  double value(const Criterion& criterion, const SmallVector& coordinates);
  /// Where `value` was last taken.
  void derivatives(const SmallVector& coordinates, SecondOrder& out);

 private:
  const Form& form_;
  const Sample& sample_;
  Workspace work_;
  Eigen::VectorXd inverse_y_, curve_, first_, second_;
  double value_ = 0;
};

/// Minimiser of cᵀGc/2 − hᵀc over c ≥ 0, exactly, by visiting the active sets; G symmetric, at most 6 × 6. Bit i of
/// `either_sign` frees c_i from c_i ≥ 0.
SmallVector nonnegative_minimum(const SmallMatrix& g, const SmallVector& h, unsigned either_sign = 0);

/// The linear coordinates that may be negative, as bits.
unsigned either_sign(const std::vector<Coordinate>& coordinates);

}  // namespace scalelaw::analysis
