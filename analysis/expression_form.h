// A law that a user writes down: `E + A*N^-alpha + B*D^-beta`.
//
// Names that are columns are x, the others parameters. Those that enter linearly are found and eliminated exactly. The
// others are searched: exponents over 0.02 to 3 (0.005 to 4 where there is one alone; both signs where no minus sign
// stands before them), scales such as the x0 of (x/x0) and the k of exp(-k*x) over what makes the quotient or product
// matter at the points, on a logarithmic grid. Where nothing in the expression says how large a parameter is, the user
// has to (`FitOptions::search`).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/derivatives.h"
#include "analysis/expression_parts.h"
#include "analysis/form.h"

namespace scalelaw::analysis {

class ExpressionForm : public Form {
 public:
  /// A law of these columns, each of which it must use; N, D, C, U, M stand for the columns that `column_name` says.
  /// Errors: INVALID_ARGUMENT for what does not parse, is a condition, does not use a column, or has too many
  /// parameters.
  static absl::StatusOr<std::unique_ptr<const Form>> make(std::string_view text,
                                                          const std::vector<std::string>& columns);

  /// The expression with the columns' own names: parses into the same form again.
  std::string_view name() const override { return name_; }
  std::string_view description() const override { return "an expression"; }
  std::vector<std::string> default_columns() const override { return columns_; }

  absl::StatusOr<std::unique_ptr<const Form>> ready_for(const Eigen::MatrixXd& logx,
                                                        const std::vector<double>& log_scale,
                                                        const FitOptions& options) const override;
  std::vector<Coordinate> coordinates(const Eigen::MatrixXd&) const override { return coordinates_; }
  void basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
             Eigen::VectorXd& offset) const override;
  void second_order(const double* coordinates, const double* logx, SecondOrder& out) const override;
  void values(const double* coordinates, const Eigen::MatrixXd& logx, Workspace& work,
              Eigen::VectorXd& curve) const override;
  void accumulate(const double* coordinates, const Eigen::MatrixXd& logx, Workspace& work, const Eigen::VectorXd& first,
                  const Eigen::VectorXd& second, SmallVector& gradient, SmallMatrix& hessian) const override;

  std::vector<std::string> parameter_names() const override;
  std::vector<double> parameters(const double* coordinates, const double* log_scale) const override;
  Hold hold(size_t j, double value, const double* log_scale) const override;
  double value(const double* parameters, const double* x) const override;
  std::string formula(const double* parameters, const std::vector<std::string>& columns) const override;

 private:
  ExpressionForm() = default;
  /// Builds factors and offset for the coordinates that are logarithms.
  void differentiate();
  absl::StatusOr<Coordinate> linear_coordinate(const std::string& name, bool signs_vary,
                                               const FitOptions& options) const;
  /// Sets whether the coordinate is the parameter's logarithm.
  absl::StatusOr<Coordinate> searched_coordinate(size_t i, const Eigen::MatrixXd& logx, size_t searched,
                                                 const FitOptions& options);

  /// Natural values of the searched parameters.
  void natural(const double* theta, double* parameters) const;
  Place<Eigen::ArrayXd> rows_place(const Eigen::MatrixXd& logx, const double* searched) const;
  Place<double> point_place(const double* log_x, const double* searched) const;
  /// Factor j in units of what it is at the columns' geometric means, so that coordinates of all terms compare.
  template <class Value>
  Derivatives<Value> scaled_factor(size_t j, const Place<Value>& place, const Place<double>& reference,
                                   bool derivatives) const;

  std::string name_;
  Expression expression_;
  std::vector<std::string> columns_;
  LinearSplit split_;
  std::vector<Differentiable> factors_;
  std::vector<Differentiable> offset_;
  /// Whether a column itself is needed, not its logarithm only.
  std::vector<bool> needed_;

  // Known once the points are.
  std::vector<double> log_scale_;
  std::vector<Coordinate> coordinates_;
  /// Of the searched parameters: the coordinate is the logarithm.
  std::vector<bool> logarithmic_;
  /// Of the linear ones: the sign of a factor that is scaled, 0 of one that is not.
  std::vector<int> scaled_;
};

}  // namespace scalelaw::analysis
