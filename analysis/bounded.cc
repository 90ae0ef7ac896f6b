#include "analysis/bounded.h"

#include <fmt/format.h>

#include <cmath>

namespace scalelaw::analysis {
namespace {

/// How far beyond the observed x the onset may lie, in e-folds.
constexpr double kOnsetMargin = 4.6;

/// ln(1 + e^z) without overflow.
double softplus(double z) {
  return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z));
}

}  // namespace

std::string_view BoundedScore::description() const {
  return "S = ceiling − (ceiling − chance)·(1 + (x/x0)^(b/s))^(−s): the missing share of the score falls as a power "
         "law once past chance; one broken power law (Caballero et al. 2023) with known limits";
}

std::vector<Coordinate> BoundedScore::coordinates(const Eigen::MatrixXd& logx) const {
  const double low = logx.col(0).minCoeff() - kOnsetMargin;
  const double high = logx.col(0).maxCoeff() + kOnsetMargin;
  constexpr int kOnsets = 40;
  std::vector<double> onsets(kOnsets);
  for (int i = 0; i < kOnsets; ++i) onsets[i] = low + (high - low) * i / (kOnsets - 1);
  return {
      {"ln x0", low, high, std::move(onsets)},
      {"b", 0.02, 6, {0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 1, 1.4, 2, 3, 4.5, 6}},
      {"s", 0.1, 1, {0.1, 0.3, 1}},
  };
}

double BoundedScore::score(double log_ratio, double b, double s) const {
  return bounds_.ceiling - (bounds_.ceiling - bounds_.chance) * std::exp(-s * softplus(b / s * log_ratio));
}

void BoundedScore::basis(const double* theta, const Eigen::MatrixXd& logx, Eigen::MatrixXd& phi,
                         Eigen::VectorXd& offset) const {
  phi.resize(logx.rows(), 0);
  offset.resize(logx.rows());
  for (Eigen::Index i = 0; i < logx.rows(); ++i) offset[i] = score(logx(i, 0) - theta[0], theta[1], theta[2]);
}

void BoundedScore::second_order(const double* c, const double* logx, SecondOrder& out) const {
  // h = ln e = −s·softplus(z), z = (b/s)·u, u = ln x − ln x0; then S' = −R·e·h' and S'' = −R·e·(h'h'ᵀ + h'').
  const double u = logx[0] - c[0], b = c[1], s = c[2];
  const double z = b / s * u;
  const double soft = softplus(z);
  const double sigmoid = 1 / (1 + std::exp(-z));
  const double bend = sigmoid * (1 - sigmoid);
  const double missing = (bounds_.ceiling - bounds_.chance) * std::exp(-s * soft);
  Eigen::Vector3d h(b * sigmoid, -sigmoid * u, sigmoid * z - soft);
  Eigen::Matrix3d hh;
  hh(0, 0) = -b * b * bend / s;
  hh(0, 1) = sigmoid + bend * z;
  hh(0, 2) = -b * bend * z / s;
  hh(1, 1) = -bend * u * u / s;
  hh(1, 2) = bend * z * u / s;
  hh(2, 2) = -bend * z * z / s;
  hh(1, 0) = hh(0, 1);
  hh(2, 0) = hh(0, 2);
  hh(2, 1) = hh(1, 2);
  out.value = bounds_.ceiling - missing;
  out.gradient = -missing * h;
  out.hessian = -missing * (h * h.transpose() + hh);
}

std::vector<double> BoundedScore::parameters(const double* c, const double* log_scale) const {
  return {std::exp(c[0] + log_scale[0]), c[1], c[2]};
}

Hold BoundedScore::hold(size_t j, double value, const double* log_scale) const {
  return {j == 0 ? std::log(value) - log_scale[0] : value, -1, 0};
}

double BoundedScore::value(const double* p, const double* x) const {
  return score(std::log(x[0]) - std::log(p[0]), p[1], p[2]);
}

std::string BoundedScore::formula(const double* p, const std::vector<std::string>& columns) const {
  return fmt::format("{:.4g} − {:.4g}·(1 + ({}/{:.4g})^{:.4g})^−{:.4g}", bounds_.ceiling,
                     bounds_.ceiling - bounds_.chance, columns[0], p[0], p[1] / p[2], p[2]);
}

}  // namespace scalelaw::analysis
