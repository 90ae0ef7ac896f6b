// A form as one formula: the base of those that are no sum of powers.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "analysis/form.h"
#include "analysis/jet.h"

namespace scalelaw::analysis {

/// A coordinate with the natural units of its parameter: with s = ln(geometric mean of `column`)·(power +
/// slope·c_exponent), the parameter is c·e^s, or e^(c + s) where the coordinate is its logarithm.
struct FormulaParameter {
  Coordinate coordinate;
  bool logarithm = false;
  int column = -1;
  double power = 0;
  int exponent = -1;
  double slope = 0;
};

/// What follows from the table of parameters.
class ParametrisedForm : public Form {
 public:
  std::vector<std::string> parameter_names() const override;
  std::vector<double> parameters(const double* coordinates, const double* log_scale) const override;
  Hold hold(size_t j, double value, const double* log_scale) const override;

 protected:
  /// Names and units; bounds and grids need not be those of any sample.
  virtual const std::vector<FormulaParameter>& table() const = 0;
  /// Coordinates of parameters for columns in natural units.
  void natural_coordinates(const double* parameters, double* coordinates) const;
};

/// `Formula` is the form itself and has `template <class T> T curve(const T* coordinates, const double* logx) const`,
/// written with +, −, ·, /, exp, log and the functions of jet.h, for T = double and T = Jet<K>. K: its coordinates.
template <class Formula, int K>
class FormulaForm : public ParametrisedForm {
 public:
  std::vector<Coordinate> coordinates(const Eigen::MatrixXd&) const override {
    std::vector<Coordinate> result;
    for (const FormulaParameter& p : table()) result.push_back(p.coordinate);
    return result;
  }

  void basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
             Eigen::VectorXd& offset) const override {
    // The curve is linear in the first coordinates: its value at none of them, and what one of each adds.
    int linear = 0;
    while (linear < K && table()[static_cast<size_t>(linear)].coordinate.linear()) ++linear;
    double c[K] = {}, x[kMaxColumns];
    std::copy(theta, theta + (K - linear), c + linear);
    phi.resize(logx.rows(), linear);
    offset.resize(logx.rows());
    for (Eigen::Index i = 0; i < logx.rows(); ++i) {
      row(logx, i, x);
      offset[i] = formula().curve(c, x);
      for (int j = 0; j < linear; ++j) {
        c[j] = 1;
        phi(i, j) = formula().curve(c, x) - offset[i];
        c[j] = 0;
      }
    }
  }

  void second_order(const double* coordinates, const double* logx, SecondOrder& out) const override {
    const Jet<K> y = jet(coordinates, logx);
    out.value = y.value;
    out.gradient = y.gradient;
    out.hessian = y.hessian;
  }

  void values(const double* coordinates, const Eigen::MatrixXd& logx, Workspace&,
              Eigen::VectorXd& curve) const override {
    curve.resize(logx.rows());
    double x[kMaxColumns];
    for (Eigen::Index i = 0; i < logx.rows(); ++i) {
      row(logx, i, x);
      curve[i] = formula().curve(coordinates, x);
    }
  }

  void accumulate(const double* coordinates, const Eigen::MatrixXd& logx, Workspace&, const Eigen::VectorXd& first,
                  const Eigen::VectorXd& second, SmallVector& gradient, SmallMatrix& hessian) const override {
    Eigen::Matrix<double, K, 1> g = Eigen::Matrix<double, K, 1>::Zero();
    Eigen::Matrix<double, K, K> h = Eigen::Matrix<double, K, K>::Zero();
    double x[kMaxColumns];
    for (Eigen::Index i = 0; i < logx.rows(); ++i) {
      row(logx, i, x);
      const Jet<K> y = jet(coordinates, x);
      g += first[i] * y.gradient;
      h += first[i] * y.hessian + second[i] * y.gradient * y.gradient.transpose();
    }
    gradient = g;
    hessian = h;
  }

  double value(const double* parameters, const double* x) const override {
    double c[K], logx[kMaxColumns];
    natural_coordinates(parameters, c);
    for (size_t i = 0; i < default_columns().size(); ++i) logx[i] = std::log(x[i]);
    return formula().curve(static_cast<const double*>(c), logx);
  }

 private:
  static constexpr int kMaxColumns = 4;
  const Formula& formula() const { return static_cast<const Formula&>(*this); }
  static void row(const Eigen::MatrixXd& logx, Eigen::Index i, double* x) {
    for (Eigen::Index c = 0; c < logx.cols(); ++c) x[c] = logx(i, c);
  }
  Jet<K> jet(const double* coordinates, const double* logx) const {
    Jet<K> c[K];
    for (int j = 0; j < K; ++j) c[j] = Jet<K>::coordinate(coordinates[j], j);
    return formula().curve(static_cast<const Jet<K>*>(c), logx);
  }
};

/// `count` values from low to high, equally spaced.
std::vector<double> even_grid(double low, double high, int count);

inline constexpr double kUnlimited = std::numeric_limits<double>::infinity();

}  // namespace scalelaw::analysis
