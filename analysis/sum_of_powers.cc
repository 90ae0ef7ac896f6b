#include "analysis/sum_of_powers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/kernels.h"

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

SumOfPowers::Slopes SumOfPowers::slopes(const PowerTerm& term, const Eigen::MatrixXd& logx, bool fill,
                                        Eigen::Ref<Eigen::VectorXd> room) {
  const auto zero = [](double slope) { return slope == 0; };
  if (std::count_if(term.slopes.begin(), term.slopes.end(), zero) + 1 == std::ssize(term.slopes)) {
    const auto only = std::find_if_not(term.slopes.begin(), term.slopes.end(), zero) - term.slopes.begin();
    return {logx.col(only).data(), term.slopes[static_cast<size_t>(only)]};
  }
  if (fill) {
    room.setZero();
    for (size_t i = 0; i < term.slopes.size(); ++i)
      if (term.slopes[i] != 0) room += term.slopes[i] * logx.col(static_cast<Eigen::Index>(i));
  }
  return {room.data(), 1};
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
    const Slopes slope = slopes(term, logx, true, column);
    kernels().power(logx.rows(), slope.factor * theta[term.exponent], slope.column, column.data());
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
  double constant = 0;
  for (Eigen::Index j = 0; j < linear; ++j)
    if (spec_.terms[static_cast<size_t>(j)].exponent < 0) constant += c[j];
  curve.setConstant(logx.rows(), constant);
  for (Eigen::Index j = 0; j < linear; ++j) {
    const PowerTerm& term = spec_.terms[static_cast<size_t>(j)];
    if (term.exponent < 0) {
      work.terms.col(j).setOnes();
      continue;
    }
    const Slopes slope = slopes(term, logx, true, work.slopes.col(j));
    kernels().add_power(logx.rows(), slope.factor * c[linear + term.exponent], c[j], slope.column,
                        work.terms.col(j).data(), curve.data());
  }
}

void SumOfPowers::accumulate(const double* c, const Eigen::MatrixXd& logx, Workspace& work,
                             const Eigen::VectorXd& first, const Eigen::VectorXd& second, SmallVector& gradient,
                             SmallMatrix& hessian) const {
  const Eigen::Index rows = logx.rows();
  const auto linear = static_cast<Eigen::Index>(spec_.terms.size());
  const Eigen::Index size = linear + static_cast<Eigen::Index>(spec_.exponents.size());
  // ∂f/∂c_j = φ_j is in work.terms; ∂f/∂e = Σ c_j·φ_j·slope_j.
  Eigen::MatrixXd& by_exponent = work.gradients;
  by_exponent.setZero(rows, size - linear);
  const double* columns[kMaxParameters];
  for (Eigen::Index a = 0; a < size; ++a)
    columns[a] = a < linear ? work.terms.col(a).data() : by_exponent.col(a - linear).data();
  // Σ first·φ_j·slope_j and Σ first·φ_j·slope_j²: the curve's own second derivatives.
  double mixed[kMaxParameters] = {}, pure[kMaxParameters] = {};
  for (Eigen::Index j = 0; j < linear; ++j) {
    const PowerTerm& term = spec_.terms[static_cast<size_t>(j)];
    if (term.exponent < 0) continue;
    const Slopes slope = slopes(term, logx, false, work.slopes.col(j));
    const Moments moments = kernels().bend(rows, slope.factor * c[j], work.terms.col(j).data(), slope.column,
                                           first.data(), by_exponent.col(term.exponent).data());
    mixed[j] = slope.factor * moments.first;
    pure[j] = slope.factor * slope.factor * moments.second;
  }
  gradient.resize(size);
  hessian.resize(size, size);
  kernels().gram(rows, static_cast<int>(size), columns, second.data(), first.data(), hessian.data(), gradient.data());
  for (Eigen::Index j = 0; j < linear; ++j) {
    const PowerTerm& term = spec_.terms[static_cast<size_t>(j)];
    if (term.exponent < 0) continue;
    const Eigen::Index e = linear + term.exponent;
    hessian(j, e) += mixed[j];
    hessian(e, j) += mixed[j];
    hessian(e, e) += c[j] * pure[j];
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
