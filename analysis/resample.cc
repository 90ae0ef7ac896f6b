#include "analysis/resample.h"

#include <algorithm>
#include <cmath>
#include <map>

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
  Eigen::MatrixXd phi;
  Eigen::VectorXd offset;
  double theta[kMaxParameters];
  std::map<std::vector<double>, int> seen;
  std::vector<double> coefficient(static_cast<size_t>(rows));
  for (size_t point = 0; point < grid_.size; ++point) {
    grid_.theta(point, theta);
    form.basis(theta, sample.logx, phi, offset);
    const auto put = [&](const auto& a, const auto& b) {
      Eigen::Map<Eigen::VectorXd>(coefficient.data(), rows) = a.cwiseProduct(b).cwiseProduct(scale);
      place_.push_back(seen.try_emplace(coefficient, static_cast<int>(seen.size())).first->second);
    };
    const Eigen::VectorXd rest = sample.y - offset;
    for (Eigen::Index a = 0; a < linear_; ++a)
      for (Eigen::Index b = 0; b <= a; ++b) put(phi.col(a), phi.col(b));
    for (Eigen::Index a = 0; a < linear_; ++a) put(phi.col(a), rest);
    put(rest, rest);
  }
  distinct_.resize(static_cast<Eigen::Index>(seen.size()), rows);
  for (const auto& [values, place] : seen)
    distinct_.row(place) = Eigen::Map<const Eigen::RowVectorXd>(values.data(), rows);
}

std::vector<Optimum> Resampler::minimise(const Eigen::MatrixXd& weights) const {
  // Columns are padded to a fixed number: how a product is summed must not depend on how many draws there are.
  Eigen::MatrixXd padded = Eigen::MatrixXd::Zero(weights.rows(), kBatch);
  std::vector<Optimum> optima;
  for (Eigen::Index from = 0; from < weights.cols(); from += kBatch) {
    const Eigen::Index count = std::min<Eigen::Index>(kBatch, weights.cols() - from);
    padded.leftCols(count) = weights.middleCols(from, count);
    padded.rightCols(kBatch - count).setZero();
    const Eigen::MatrixXd coefficients = distinct_ * padded;
    for (Eigen::Index d = 0; d < count; ++d)
      optima.push_back(minimise_one(coefficients.col(d).data(), weights.col(from + d)));
  }
  return optima;
}

Optimum Resampler::minimise_one(const double* coefficients, const Eigen::VectorXd& weight) const {
  std::vector<double> value(grid_.size);
  std::vector<SmallVector> linear(grid_.size);
  SmallMatrix g(linear_, linear_);
  SmallVector h(linear_);
  for (size_t point = 0; point < grid_.size; ++point) {
    const int* place = place_.data() + static_cast<Eigen::Index>(point) * features_;
    for (Eigen::Index a = 0; a < linear_; ++a)
      for (Eigen::Index b = 0; b <= a; ++b) g(a, b) = g(b, a) = coefficients[*place++];
    for (Eigen::Index a = 0; a < linear_; ++a) h[a] = coefficients[*place++];
    linear[point] = nonnegative_minimum(g, h);
    // At the minimum over the active set, cᵀGc = hᵀc.
    value[point] = coefficients[*place] / 2 - h.dot(linear[point]) / 2;
  }

  std::vector<size_t> starts;
  for (size_t point = 0; point < grid_.size; ++point)
    if (std::isfinite(value[point]) && grid_.minimum(value, point)) starts.push_back(point);
  std::stable_sort(starts.begin(), starts.end(), [&](size_t a, size_t b) { return value[a] < value[b]; });
  if (starts.size() > kMaxStarts) starts.resize(kMaxStarts);

  const Sample drawn = drawn_rows(weight);
  Optimum best = polish(form_, drawn, criterion_, optimum_.coordinates);
  for (size_t point : starts) {
    if (near(point, best.coordinates)) continue;
    double theta[kMaxParameters];
    SmallVector start(optimum_.coordinates.size());
    grid_.theta(point, theta);
    start << linear[point], Eigen::Map<const Eigen::VectorXd>(theta, static_cast<Eigen::Index>(grid_.axes.size()));
    Optimum candidate = polish(form_, drawn, criterion_, start);
    if (candidate.objective < best.objective) best = std::move(candidate);
  }
  return best;
}

bool Resampler::near(size_t point, const SmallVector& coordinates) const {
  for (size_t d = 0; d < grid_.axes.size(); ++d) {
    const std::vector<double>& axis = grid_.axes[d];
    const size_t i = grid_.index(point, d);
    const double low = axis[i < 2 ? 0 : i - 2], high = axis[std::min(i + 2, axis.size() - 1)];
    const double at = coordinates[linear_ + static_cast<Eigen::Index>(d)];
    if (at < low || at > high) return false;
  }
  return true;
}

Sample Resampler::drawn_rows(const Eigen::VectorXd& weight) const {
  const Eigen::Index count = (weight.array() > 0).count();
  Sample drawn{Eigen::MatrixXd(count, sample_.logx.cols()), Eigen::VectorXd(count), Eigen::VectorXd(count)};
  Eigen::Index to = 0;
  for (Eigen::Index i = 0; i < weight.size(); ++i) {
    if (weight[i] <= 0) continue;
    drawn.logx.row(to) = sample_.logx.row(i);
    drawn.y[to] = sample_.y[i];
    drawn.weight[to++] = weight[i];
  }
  return drawn;
}

}  // namespace scalelaw::analysis
