// A form some of whose parameters are held at given values.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/form.h"

namespace scalelaw::analysis {

/// The same curve, the same parameters; only the coordinates of those that are free.
class Pinned : public Form {
 public:
  /// `fixed`: natural values by name; log_scale as in `Form::parameters`.
  /// Errors: INVALID_ARGUMENT naming a parameter that the form does not have, with those that it has, or a value that
  /// it cannot take.
  static absl::StatusOr<std::unique_ptr<const Form>> make(std::unique_ptr<const Form> inner,
                                                          const std::map<std::string, double>& fixed,
                                                          const std::vector<double>& log_scale);

  std::string_view name() const override { return inner_->name(); }
  std::string_view description() const override { return inner_->description(); }
  std::vector<std::string> default_columns() const override { return inner_->default_columns(); }
  bool bounded() const override { return inner_->bounded(); }
  std::string_view default_objective() const override { return inner_->default_objective(); }
  std::string_view default_residual() const override { return inner_->default_residual(); }
  void choose_units(std::vector<double>& log_scale) const override { inner_->choose_units(log_scale); }
  std::vector<Coordinate> coordinates(const Eigen::MatrixXd& logx) const override;
  /// With few coordinates left, the whole grid can be searched after all.
  bool has_starts() const override { return inner_->has_starts() && free_.size() > 2; }
  std::vector<SmallVector> starts(const std::vector<Coordinate>& coordinates, const Sample& sample,
                                  const Criterion& criterion) const override;
  void basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
             Eigen::VectorXd& offset) const override;
  void second_order(const double* coordinates, const double* logx, SecondOrder& out) const override;
  void values(const double* coordinates, const Eigen::MatrixXd& logx, Workspace& work,
              Eigen::VectorXd& curve) const override;
  void accumulate(const double* coordinates, const Eigen::MatrixXd& logx, Workspace& work, const Eigen::VectorXd& first,
                  const Eigen::VectorXd& second, SmallVector& gradient, SmallMatrix& hessian) const override;
  std::vector<std::string> parameter_names() const override { return inner_->parameter_names(); }
  std::vector<double> parameters(const double* coordinates, const double* log_scale) const override;
  double value(const double* parameters, const double* x) const override { return inner_->value(parameters, x); }
  std::string formula(const double* parameters, const std::vector<std::string>& columns) const override {
    return inner_->formula(parameters, columns);
  }

 private:
  struct Pin {
    int coordinate = 0;
    double value = 0;
    Hold hold;
  };
  Pinned() = default;
  /// All coordinates of the inner form, from the free ones.
  SmallVector complete(const double* free) const;
  /// Derivatives by the inner form's coordinates to derivatives by the free ones.
  void reduce(const SmallVector& all, SmallVector& gradient, SmallMatrix& hessian) const;

  std::unique_ptr<const Form> inner_;
  std::vector<Pin> pins_;
  std::vector<int> free_;
};

}  // namespace scalelaw::analysis
