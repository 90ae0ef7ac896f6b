// The family that most published laws belong to: y = Σ_j c_j · Π_i x_i^(k_ji·θ_e(j)), with c_j ≥ 0.
#pragma once

#include "analysis/form.h"

namespace scalelaw::analysis {

/// One term: a linear parameter times the columns raised to multiples of one exponent.
struct PowerTerm {
  std::string name;
  /// Index among the exponents; −1 for a constant term.
  int exponent = -1;
  /// d(ln term)/d(exponent) = Σ_i slope_i·ln x_i.
  std::vector<double> slopes;
};

struct ExponentAxis {
  std::string name;
  std::vector<double> grid;
};

struct PowerSumSpec {
  std::string name;
  std::string description;
  std::vector<std::string> columns;
  std::vector<PowerTerm> terms;
  std::vector<ExponentAxis> exponents;
  std::string objective = "l2";
};

/// Parameters: the terms' names, then the exponents'.
class SumOfPowers : public Form {
 public:
  explicit SumOfPowers(PowerSumSpec spec) : spec_(std::move(spec)) {}

  std::string_view name() const override { return spec_.name; }
  std::string_view description() const override { return spec_.description; }
  std::vector<std::string> default_columns() const override { return spec_.columns; }
  std::string_view default_objective() const override { return spec_.objective; }
  std::vector<Coordinate> coordinates(const Eigen::MatrixXd& logx) const override;
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

 protected:
  /// Σ_i slope_i·ln x_i of a term.
  static double log_slope(const PowerTerm& term, const double* logx);
  /// The same of all rows, as a multiple of a column: one of logx, or `room` where the term has several slopes, which
  /// `fill` computes.
  struct Slopes {
    const double* column;
    double factor;
  };
  static Slopes slopes(const PowerTerm& term, const Eigen::MatrixXd& logx, bool fill, Eigen::Ref<Eigen::VectorXd> room);
  const PowerSumSpec spec_;
};

/// `count` values from low to high, equally spaced in logs: exponents matter by ratio.
std::vector<double> geometric_grid(double low, double high, int count);

}  // namespace scalelaw::analysis
