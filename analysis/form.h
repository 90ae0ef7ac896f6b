// Functional forms: one table of what a law can look like. A form knows its curve, its derivatives, and which of its
// parameters enter linearly; how it is fitted is search.h's business.
#pragma once

#include <Eigen/Dense>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace scalelaw::analysis {

struct FitOptions;

/// Most parameters that any form may have: small vectors and matrices live on the stack.
inline constexpr int kMaxParameters = 16;
using SmallVector = Eigen::Matrix<double, Eigen::Dynamic, 1, 0, kMaxParameters, 1>;
using SmallMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, 0, kMaxParameters, kMaxParameters>;

/// One parameter as the search sees it: in units in which every column's geometric mean is 1.
struct Coordinate {
  std::string name;
  /// Of a linear coordinate, low is 0 or −∞.
  double low = 0;
  double high = 0;
  /// Values that the exhaustive search visits. Empty: the parameter enters linearly and is eliminated instead.
  std::vector<double> grid;

  bool linear() const { return grid.empty(); }
};

/// Value, gradient and Hessian of a curve with respect to its coordinates.
struct SecondOrder {
  double value = 0;
  SmallVector gradient;
  SmallMatrix hessian;
};

/// Coordinate j where parameter j is held at a value: c_j = factor·exp(slope·c_exponent), a constant where there is no
/// exponent. What is a constant in natural units may depend on an exponent in scaled ones.
struct Hold {
  double factor = 0;
  int exponent = -1;
  double slope = 0;
};

/// Bounds of a score; unused by forms that have none.
struct Bounds {
  double chance = 0;
  double ceiling = 1;
};

struct Criterion;
struct Sample;

/// What a form computes once per set of coordinates and uses twice; contents private to the form.
struct Workspace {
  Eigen::MatrixXd terms;
  Eigen::MatrixXd slopes;
  Eigen::MatrixXd gradients;
};

/// y = offset(x; θ) + Σ_j c_j·φ_j(x; θ): c the linear coordinates, θ the others; linear ones come first.
///
/// Rows of `logx` are ln x in units of each column's geometric mean. Two parametrisations: *coordinates* (what is
/// optimised, well scaled) and *parameters* (what is reported, in natural units); coordinate j is parameter j in other
/// units.
class Form {
 public:
  virtual ~Form() = default;

  virtual std::string_view name() const = 0;
  /// Formula and source, for people.
  virtual std::string_view description() const = 0;
  /// Columns that it is a law of when the caller names none.
  virtual std::vector<std::string> default_columns() const = 0;
  virtual bool bounded() const { return false; }
  virtual std::string_view default_objective() const { return "l2"; }
  virtual std::string_view default_residual() const { return bounded() ? "raw" : "log"; }
  /// Changes the units of columns, ln of their geometric means, where the form needs others.
  virtual void choose_units(std::vector<double>& log_scale) const;

  /// Coordinates with their bounds and grids for these points.
  virtual std::vector<Coordinate> coordinates(const Eigen::MatrixXd& logx) const = 0;
  /// True where the exhaustive grid would be too large: the search polishes `starts` instead.
  virtual bool has_starts() const { return false; }
  /// Coordinates to polish from, for these points; a coordinate whose grid has one value is held there.
  virtual std::vector<SmallVector> starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                          const Criterion& criterion) const;
  /// φ (rows × linear coordinates) and offset (rows) at the non-linear coordinates θ.
  virtual void basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
                     Eigen::VectorXd& offset) const = 0;
  /// The curve at one point (ln x of each column) with first and second derivatives by coordinates.
  virtual void second_order(const double* coordinates, const double* logx, SecondOrder& out) const = 0;

  /// The curve at every row; leaves in `work` what `accumulate` needs for the same coordinates and rows.
  virtual void values(const double* coordinates, const Eigen::MatrixXd& logx, Workspace& work,
                      Eigen::VectorXd& curve) const;
  /// Σ_i first_i·∇f_i and Σ_i (first_i·∇²f_i + second_i·∇f_i∇f_iᵀ), after `values`.
  virtual void accumulate(const double* coordinates, const Eigen::MatrixXd& logx, Workspace& work,
                          const Eigen::VectorXd& first, const Eigen::VectorXd& second, SmallVector& gradient,
                          SmallMatrix& hessian) const;

  /// The same form made ready for these points, of which it may need to know more than `coordinates` is told; nullptr
  /// where it is ready as it is. log_scale: as in `parameters`. Errors: INVALID_ARGUMENT naming a field of the options.
  virtual absl::StatusOr<std::unique_ptr<const Form>> ready_for(const Eigen::MatrixXd& logx,
                                                                const std::vector<double>& log_scale,
                                                                const FitOptions& options) const;

  /// Of several coordinates that give the same curve, the ones to report.
  virtual void make_canonical(SmallVector& coordinates) const;

  virtual std::vector<std::string> parameter_names() const = 0;
  /// Coordinates to parameters; log_scale: ln of each column's geometric mean.
  virtual std::vector<double> parameters(const double* coordinates, const double* log_scale) const = 0;
  /// Coordinate j where parameter j is held at `value`. Default: where they are one and the same.
  virtual Hold hold(size_t j, double value, const double* log_scale) const;
  /// The curve at natural x.
  virtual double value(const double* parameters, const double* x) const = 0;
  /// The formula with numbers in it, without `y = `.
  virtual std::string formula(const double* parameters, const std::vector<std::string>& columns) const = 0;
};

/// The form of this name (see `form_names`), or the expression that it is, of these columns; nullptr where it is
/// neither. `bounds` matters to bounded forms only, `columns` to expressions.
std::unique_ptr<const Form> make_form(std::string_view name, const Bounds& bounds,
                                      const std::vector<std::string>& columns = {});

struct Law;
/// The form of a fitted law, with its bounds; nullptr where this version does not know it.
std::unique_ptr<const Form> form_of(const Law& law);

}  // namespace scalelaw::analysis
