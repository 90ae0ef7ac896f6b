#include "analysis/sum_of_powers.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace scalelaw::analysis {

std::vector<double> geometric_grid(double low, double high, int count) {
  std::vector<double> grid(count);
  for (int i = 0; i < count; ++i) grid[i] = low * std::pow(high / low, static_cast<double>(i) / (count - 1));
  return grid;
}

double SumOfPowers::log_slope(const PowerTerm& term, const double* logx) {
  double sum = 0;
  for (size_t i = 0; i < term.slopes.size(); ++i) sum += term.slopes[i] * logx[i];
  return sum;
}

std::vector<Coordinate> SumOfPowers::coordinates(const Eigen::MatrixXd&) const {
  std::vector<Coordinate> result;
  for (const PowerTerm& term : spec_.terms)
    result.push_back({term.name, 0, std::numeric_limits<double>::infinity(), {}});
  for (const ExponentAxis& axis : spec_.exponents)
    result.push_back({axis.name, axis.grid.front(), axis.grid.back(), axis.grid});
  return result;
}

void SumOfPowers::basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
                        Eigen::VectorXd& offset) const {
  offset.setZero(logx.rows());
  phi.resize(logx.rows(), static_cast<Eigen::Index>(spec_.terms.size()));
  for (size_t j = 0; j < spec_.terms.size(); ++j) {
    const PowerTerm& term = spec_.terms[j];
    auto column = phi.col(static_cast<Eigen::Index>(j));
    if (term.exponent < 0) {
      column.setOnes();
      continue;
    }
    column.setZero();
    for (size_t i = 0; i < term.slopes.size(); ++i)
      column += term.slopes[i] * theta[term.exponent] * logx.col(static_cast<Eigen::Index>(i));
    column = column.array().exp();
  }
}

void SumOfPowers::second_order(const double* c, const double* logx, SecondOrder& out) const {
  const int linear = static_cast<int>(spec_.terms.size());
  const int size = linear + static_cast<int>(spec_.exponents.size());
  out.value = 0;
  out.gradient.setZero(size);
  out.hessian.setZero(size, size);
  for (int j = 0; j < linear; ++j) {
    const PowerTerm& term = spec_.terms[j];
    if (term.exponent < 0) {
      out.value += c[j];
      out.gradient[j] = 1;
      continue;
    }
    const int e = linear + term.exponent;
    const double slope = log_slope(term, logx);
    const double phi = std::exp(c[e] * slope);
    out.value += c[j] * phi;
    out.gradient[j] = phi;
    out.gradient[e] += c[j] * phi * slope;
    out.hessian(j, e) = out.hessian(e, j) = phi * slope;
    out.hessian(e, e) += c[j] * phi * slope * slope;
  }
}

void SumOfPowers::values(const double* c, const Eigen::MatrixXd& logx, Workspace& work, Eigen::VectorXd& curve) const {
  const auto linear = static_cast<Eigen::Index>(spec_.terms.size());
  work.terms.resize(logx.rows(), linear);
  work.slopes.resize(logx.rows(), linear);
  curve.setZero(logx.rows());
  for (Eigen::Index j = 0; j < linear; ++j) {
    const PowerTerm& term = spec_.terms[static_cast<size_t>(j)];
    if (term.exponent < 0) {
      work.terms.col(j).setOnes();
      work.slopes.col(j).setZero();
      curve.array() += c[j];
      continue;
    }
    work.slopes.col(j).setZero();
    for (size_t i = 0; i < term.slopes.size(); ++i)
      if (term.slopes[i] != 0) work.slopes.col(j) += term.slopes[i] * logx.col(static_cast<Eigen::Index>(i));
    work.terms.col(j) = (c[linear + term.exponent] * work.slopes.col(j).array()).exp();
    curve += c[j] * work.terms.col(j);
  }
}

void SumOfPowers::accumulate(const double* c, const Eigen::MatrixXd& logx, Workspace& work,
                             const Eigen::VectorXd& first, const Eigen::VectorXd& second, SmallVector& gradient,
                             SmallMatrix& hessian) const {
  const auto linear = static_cast<Eigen::Index>(spec_.terms.size());
  const Eigen::Index size = linear + static_cast<Eigen::Index>(spec_.exponents.size());
  Eigen::MatrixXd& g = work.gradients;
  g.resize(logx.rows(), size);
  g.leftCols(linear) = work.terms;
  g.rightCols(size - linear).setZero();
  hessian.setZero(size, size);
  for (Eigen::Index j = 0; j < linear; ++j) {
    const PowerTerm& term = spec_.terms[static_cast<size_t>(j)];
    if (term.exponent < 0) continue;
    const Eigen::Index e = linear + term.exponent;
    const auto bent = work.terms.col(j).cwiseProduct(work.slopes.col(j));
    g.col(e) += c[j] * bent;
    hessian(j, e) += first.dot(bent);
    hessian(e, e) += c[j] * first.cwiseProduct(work.slopes.col(j)).dot(bent);
  }
  gradient.resize(size);
  for (Eigen::Index a = 0; a < size; ++a) {
    gradient[a] = first.dot(g.col(a));
    for (Eigen::Index b = a; b < size; ++b) {
      hessian(a, b) += second.cwiseProduct(g.col(a)).dot(g.col(b));
      hessian(b, a) = hessian(a, b);
    }
  }
}

std::vector<std::string> SumOfPowers::parameter_names() const {
  std::vector<std::string> names;
  for (const PowerTerm& term : spec_.terms) names.push_back(term.name);
  for (const ExponentAxis& axis : spec_.exponents) names.push_back(axis.name);
  return names;
}

std::vector<double> SumOfPowers::parameters(const double* c, const double* log_scale) const {
  const size_t linear = spec_.terms.size();
  std::vector<double> result(c, c + linear + spec_.exponents.size());
  for (size_t j = 0; j < linear; ++j) {
    const PowerTerm& term = spec_.terms[j];
    if (term.exponent >= 0) result[j] *= std::exp(-c[linear + term.exponent] * log_slope(term, log_scale));
  }
  return result;
}

Hold SumOfPowers::hold(size_t j, double value, const double* log_scale) const {
  const size_t linear = spec_.terms.size();
  if (j >= linear || spec_.terms[j].exponent < 0) return {value, -1, 0};
  return {value, static_cast<int>(linear) + spec_.terms[j].exponent, log_slope(spec_.terms[j], log_scale)};
}

double SumOfPowers::value(const double* p, const double* x) const {
  const size_t linear = spec_.terms.size();
  double sum = 0;
  for (size_t j = 0; j < linear; ++j) {
    const PowerTerm& term = spec_.terms[j];
    double log_factor = 0;
    for (size_t i = 0; i < term.slopes.size(); ++i)
      log_factor += term.slopes[i] * p[linear + term.exponent] * std::log(x[i]);
    sum += p[j] * std::exp(log_factor);
  }
  return sum;
}

std::string SumOfPowers::formula(const double* p, const std::vector<std::string>& columns) const {
  const size_t linear = spec_.terms.size();
  std::string text;
  for (size_t j = 0; j < linear; ++j) {
    const PowerTerm& term = spec_.terms[j];
    if (!text.empty()) text += " + ";
    text += fmt::format("{:.4g}", p[j]);
    for (size_t i = 0; i < term.slopes.size(); ++i)
      if (term.slopes[i] != 0)
        text += fmt::format("·{}^{:.4g}", columns[i], term.slopes[i] * p[linear + term.exponent]);
  }
  return text;
}

}  // namespace scalelaw::analysis
