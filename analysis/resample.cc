#include "analysis/resample.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace scalelaw::analysis {
namespace {

/// Grid minima that are polished in each draw, besides the optimum of the whole sample.
constexpr size_t kMaxStarts = 3;

}  // namespace

Resampler::Resampler(const Form& form, const Sample& sample, const Criterion& criterion, const Optimum& optimum)
    : form_(form),
      sample_(sample),
      criterion_(criterion),
      optimum_(optimum),
      grid_(form.coordinates(sample.logx)),
      linear_(optimum.coordinates.size() - static_cast<Eigen::Index>(grid_.axes.size())),
      features_(linear_ * (linear_ + 1) / 2 + linear_ + 1) {
  const Eigen::Index rows = sample.y.size();
  Eigen::VectorXd scale(rows);
  SecondOrder at;
  double x[kMaxParameters];
  for (Eigen::Index i = 0; i < rows; ++i) {
    for (Eigen::Index c = 0; c < sample.logx.cols(); ++c) x[c] = sample.logx(i, c);
    form.second_order(optimum.coordinates.data(), x, at);
    const double unit = criterion.residual == Residual::kLog ? 1 / sample.y[i] : 1;
    scale[i] = unit * unit * criterion.robust_weight(criterion.residual_of(at.value, sample.y[i]));
  }
  quadratics_.resize(static_cast<Eigen::Index>(grid_.size) * features_, rows);
  Eigen::MatrixXd phi;
  Eigen::VectorXd offset;
  double theta[kMaxParameters];
  for (size_t point = 0; point < grid_.size; ++point) {
    grid_.theta(point, theta);
    form.basis(theta, sample.logx, phi, offset);
    Eigen::Index f = static_cast<Eigen::Index>(point) * features_;
    const auto put = [&](const Eigen::VectorXd& a, const Eigen::VectorXd& b) {
      quadratics_.row(f++) = a.cwiseProduct(b).cwiseProduct(scale).transpose();
    };
    const Eigen::VectorXd rest = sample.y - offset;
    for (Eigen::Index a = 0; a < linear_; ++a)
      for (Eigen::Index b = 0; b <= a; ++b) put(phi.col(a), phi.col(b));
    for (Eigen::Index a = 0; a < linear_; ++a) put(phi.col(a), rest);
    put(rest, rest);
  }
}

Optimum Resampler::minimise(const Eigen::VectorXd& weight) const {
  const Eigen::VectorXd coefficients = quadratics_ * weight;
  std::vector<double> value(grid_.size);
  std::vector<SmallVector> linear(grid_.size);
  SmallMatrix g(linear_, linear_);
  SmallVector h(linear_);
  for (size_t point = 0; point < grid_.size; ++point) {
    const double* q = coefficients.data() + static_cast<Eigen::Index>(point) * features_;
    for (Eigen::Index a = 0; a < linear_; ++a)
      for (Eigen::Index b = 0; b <= a; ++b) g(a, b) = g(b, a) = *q++;
    for (Eigen::Index a = 0; a < linear_; ++a) h[a] = *q++;
    linear[point] = nonnegative_minimum(g, h);
    value[point] = *q / 2 + linear[point].dot(g * linear[point]) / 2 - h.dot(linear[point]);
  }

  std::vector<size_t> starts;
  for (size_t point = 0; point < grid_.size; ++point)
    if (std::isfinite(value[point]) && grid_.minimum(value, point)) starts.push_back(point);
  std::stable_sort(starts.begin(), starts.end(), [&](size_t a, size_t b) { return value[a] < value[b]; });
  if (starts.size() > kMaxStarts) starts.resize(kMaxStarts);

  const Sample weighted{sample_.logx, sample_.y, weight};
  Optimum best = polish(form_, weighted, criterion_, optimum_.coordinates);
  double theta[kMaxParameters];
  for (size_t point : starts) {
    SmallVector start(optimum_.coordinates.size());
    grid_.theta(point, theta);
    start << linear[point], Eigen::Map<const Eigen::VectorXd>(theta, static_cast<Eigen::Index>(grid_.axes.size()));
    Optimum candidate = polish(form_, weighted, criterion_, start);
    if (candidate.objective < best.objective) best = std::move(candidate);
  }
  return best;
}

}  // namespace scalelaw::analysis
