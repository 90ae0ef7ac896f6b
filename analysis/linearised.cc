#include "analysis/linearised.h"

#include <Eigen/Eigenvalues>

#include <algorithm>
#include <cmath>
#include <limits>

namespace scalelaw::analysis {
namespace {

/// Eigenvalues of a Gram matrix with unit diagonal below this are rounding.
constexpr double kSingular = 1e-14;
/// A point that its curve follows entirely says nothing about the noise; corrections divide by 1 − leverage.
constexpr double kMostLeverage = 0.99;
constexpr double kTradingShare = 0.1;

}  // namespace

ParameterScale::ParameterScale(const Problem& problem, const Sample& sample, const SmallVector& at)
    : form_(*problem.form), log_scale_(problem.log_scale) {
  std::vector<double> low, high;
  for (const Coordinate& c : form_.coordinates(sample.logx)) {
    low.push_back(c.low);
    high.push_back(c.high);
  }
  lowest_ = form_.parameters(low.data(), log_scale_.data());
  highest_ = form_.parameters(high.data(), log_scale_.data());
  const std::vector<double> values = form_.parameters(at.data(), log_scale_.data());
  for (size_t j = 0; j < values.size(); ++j) {
    log_.push_back(values[j] > 0 && lowest_[j] >= 0);
    // A corner of the box need not be the parameter's own bound where it depends on several coordinates.
    if (!(lowest_[j] <= values[j])) lowest_[j] = -std::numeric_limits<double>::infinity();
    if (!(highest_[j] >= values[j])) highest_[j] = std::numeric_limits<double>::infinity();
  }
}

double ParameterScale::at(int j, const SmallVector& coordinates) const {
  const double value = form_.parameters(coordinates.data(), log_scale_.data())[j];
  return log_[j] ? std::log(value) : value;
}

double ParameterScale::natural(int j, double scaled) const {
  return log_[j] ? std::exp(scaled) : scaled;
}

void ParameterScale::derivatives(int j, const SmallVector& coordinates, SmallVector& gradient,
                                 SmallMatrix& hessian) const {
  const Eigen::Index size = coordinates.size();
  gradient.setZero(size);
  hessian.setZero(size, size);
  const double centre = at(j, coordinates);
  SmallVector step(size), p = coordinates;
  SmallVector up(size), down(size);
  for (Eigen::Index a = 0; a < size; ++a) {
    step[a] = 1e-4 * (coordinates[a] != 0 ? std::abs(coordinates[a]) : 1e-3);
    p[a] = coordinates[a] + step[a];
    up[a] = at(j, p);
    p[a] = coordinates[a] - step[a];
    down[a] = at(j, p);
    p[a] = coordinates[a];
    gradient[a] = (up[a] - down[a]) / (2 * step[a]);
    hessian(a, a) = (up[a] - 2 * centre + down[a]) / (step[a] * step[a]);
  }
  for (Eigen::Index a = 0; a < size; ++a)
    for (Eigen::Index b = 0; b < a; ++b) {
      if (gradient[a] == 0 || gradient[b] == 0) continue;
      p[a] += step[a];
      p[b] += step[b];
      const double both = at(j, p);
      p[a] = coordinates[a];
      p[b] = coordinates[b];
      hessian(a, b) = hessian(b, a) = (both - up[a] - up[b] + centre) / (step[a] * step[b]);
    }
}

Linearised linearise(const Problem& problem, const Sample& sample, const SmallVector& coordinates) {
  const std::vector<Coordinate> bounds = problem.form->coordinates(sample.logx);
  const Eigen::Index rows = sample.y.size(), size = coordinates.size();
  Linearised result;
  result.residual.resize(rows);
  result.jacobian.resize(rows, size);
  SecondOrder at;
  double x[kMaxParameters];
  for (Eigen::Index i = 0; i < rows; ++i) {
    for (Eigen::Index c = 0; c < sample.logx.cols(); ++c) x[c] = sample.logx(i, c);
    problem.form->second_order(coordinates.data(), x, at);
    const double root = std::sqrt(sample.weight[i]);
    const double unit = problem.criterion.residual == Residual::kLog ? 1 / at.value : 1;
    result.residual[i] = root * problem.criterion.residual_of(at.value, sample.y[i]);
    result.jacobian.row(i) = root * unit * at.gradient.transpose();
  }
  std::vector<int> free;
  for (int a = 0; a < size; ++a) {
    const bool held = coordinates[a] <= bounds[a].low || coordinates[a] >= bounds[a].high;
    if (held || !(result.jacobian.col(a).norm() > 0))
      result.jacobian.col(a).setZero();
    else
      free.push_back(a);
  }
  result.inverse.setZero(size, size);
  result.leverage.setZero(rows);
  if (free.empty()) return result;

  const auto count = static_cast<Eigen::Index>(free.size());
  Eigen::MatrixXd scaled(rows, count);
  Eigen::VectorXd length(count);
  for (Eigen::Index a = 0; a < count; ++a) {
    length[a] = result.jacobian.col(free[a]).norm();
    scaled.col(a) = result.jacobian.col(free[a]) / length[a];
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(scaled.transpose() * scaled);
  const Eigen::VectorXd values = eigen.eigenvalues().cwiseMax(kSingular);
  const Eigen::MatrixXd& vectors = eigen.eigenvectors();
  result.condition = eigen.eigenvalues()[0] > kSingular ? std::sqrt(values[count - 1] / values[0])
                                                        : std::numeric_limits<double>::infinity();
  for (Eigen::Index a = 0; a < count; ++a)
    if (vectors(a, 0) * vectors(a, 0) > kTradingShare) result.trading.push_back(free[a]);
  const Eigen::MatrixXd inverse = vectors * values.cwiseInverse().asDiagonal() * vectors.transpose();
  for (Eigen::Index a = 0; a < count; ++a)
    for (Eigen::Index b = 0; b < count; ++b) result.inverse(free[a], free[b]) = inverse(a, b) / (length[a] * length[b]);
  for (Eigen::Index i = 0; i < rows; ++i)
    result.leverage[i] = std::clamp(scaled.row(i).dot(inverse * scaled.row(i).transpose()), 0.0, kMostLeverage);
  return result;
}

std::vector<std::vector<double>> correlations(const Linearised& linearised, const ParameterScale& scale,
                                              const SmallVector& coordinates) {
  const int count = scale.count();
  const Eigen::Index size = coordinates.size();
  Eigen::MatrixXd slopes(count, size);
  SmallVector gradient;
  SmallMatrix hessian;
  for (int j = 0; j < count; ++j) {
    scale.derivatives(j, coordinates, gradient, hessian);
    slopes.row(j) = gradient.transpose();
  }
  const Eigen::MatrixXd covariance = slopes * linearised.inverse * slopes.transpose();
  std::vector<std::vector<double>> result(count, std::vector<double>(count, 0));
  for (int j = 0; j < count; ++j) {
    for (int k = 0; k < j; ++k) {
      const double unit = std::sqrt(covariance(j, j) * covariance(k, k));
      if (unit > 0 && std::isfinite(unit)) result[j][k] = result[k][j] = std::clamp(covariance(j, k) / unit, -1.0, 1.0);
    }
    result[j][j] = 1;
  }
  return result;
}

}  // namespace scalelaw::analysis
