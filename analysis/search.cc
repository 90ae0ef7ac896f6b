#include "analysis/search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/grid.h"
#include "analysis/newton.h"

namespace scalelaw::analysis {
namespace {

/// Most grid minima that are polished.
constexpr size_t kMaxStarts = 8;
constexpr int kReweightings = 4;

/// Solves for the linear coordinates at fixed exponents, and gives the criterion there.
class LinearPart {
 public:
  LinearPart(const Form& form, const Sample& sample, const Criterion& criterion)
      : form_(form), sample_(sample), criterion_(criterion), scale_(sample.y.size()) {
    // In logs, (ŷ − y)/y is the residual to first order.
    if (criterion.residual == Residual::kLog)
      scale_ = sample.y.cwiseInverse();
    else
      scale_.setOnes();
  }

  double solve(const double* theta, SmallVector& linear) {
    form_.basis(theta, sample_.logx, phi_, offset_);
    linear.resize(phi_.cols());
    if (phi_.cols() == 0) {
      fitted_ = offset_;
      return criterion();
    }
    const bool reweight = criterion_.penalty != Penalty::kL2;
    weight_ = sample_.weight;
    double best = std::numeric_limits<double>::infinity();
    SmallVector candidate;
    for (int round = 0; round <= (reweight ? kReweightings : 0); ++round) {
      const Eigen::VectorXd scaled_weight = weight_.cwiseProduct(scale_).cwiseProduct(scale_);
      const SmallMatrix gram = phi_.transpose() * scaled_weight.asDiagonal() * phi_;
      const SmallVector moment = phi_.transpose() * scaled_weight.cwiseProduct(sample_.y - offset_);
      candidate = nonnegative_minimum(gram, moment);
      fitted_ = offset_ + phi_ * candidate;
      const double value = criterion();
      if (value < best) {
        best = value;
        linear = candidate;
      }
      for (Eigen::Index i = 0; i < weight_.size(); ++i) {
        const double r = criterion_.residual_of(fitted_[i], sample_.y[i]);
        weight_[i] = std::isfinite(r) ? sample_.weight[i] * criterion_.robust_weight(r) : 0;
      }
    }
    return best;
  }

 private:
  double criterion() const {
    double sum = 0;
    for (Eigen::Index i = 0; i < fitted_.size(); ++i)
      sum += sample_.weight[i] * criterion_.rho(criterion_.residual_of(fitted_[i], sample_.y[i]));
    return sum;
  }

  const Form& form_;
  const Sample& sample_;
  const Criterion& criterion_;
  Eigen::VectorXd scale_, offset_, fitted_, weight_;
  Eigen::MatrixXd phi_;
};

/// One penalty after another where the wanted one has no second derivatives to speak of: a kink is approached.
std::vector<Criterion> stages(const Criterion& wanted) {
  if (wanted.penalty != Penalty::kLad) return {wanted};
  std::vector<Criterion> result;
  for (double delta = 1e-2; delta > 1e-12; delta /= 10) result.push_back({wanted.residual, Penalty::kHuber, delta});
  return result;
}

bool same(const Optimum& a, const Optimum& b) {
  if (std::abs(a.objective - b.objective) > 1e-7 * std::abs(a.objective) + 1e-300) return false;
  for (Eigen::Index i = 0; i < a.coordinates.size(); ++i)
    if (std::abs(a.coordinates[i] - b.coordinates[i]) > 1e-3 * (std::abs(a.coordinates[i]) + 1e-6)) return false;
  return true;
}

}  // namespace

namespace {

/// Solves g·c = h for the members of a set by Cholesky; false where g is not positive definite there.
bool solve_subset(const SmallMatrix& g, const SmallVector& h, const int* member, int count, double* c) {
  double l[kMaxParameters][kMaxParameters];
  for (int a = 0; a < count; ++a) {
    double rest = h[member[a]];
    for (int b = 0; b <= a; ++b) {
      double sum = g(member[a], member[b]);
      for (int k = 0; k < b; ++k) sum -= l[a][k] * l[b][k];
      if (b < a) {
        l[a][b] = sum / l[b][b];
        rest -= l[a][b] * c[b];
      } else {
        if (!(sum > 1e-14 * g(member[a], member[a]))) return false;
        l[a][a] = std::sqrt(sum);
        c[a] = rest / l[a][a];
      }
    }
  }
  for (int a = count - 1; a >= 0; --a) {
    for (int b = a + 1; b < count; ++b) c[a] -= l[b][a] * c[b];
    c[a] /= l[a][a];
  }
  return true;
}

}  // namespace

SmallVector nonnegative_minimum(const SmallMatrix& g, const SmallVector& h) {
  const int size = static_cast<int>(h.size());
  SmallVector best = SmallVector::Zero(size);
  double best_value = 0;
  for (unsigned set = (1u << size) - 1; set > 0; --set) {
    int member[kMaxParameters];
    double c[kMaxParameters];
    int count = 0;
    for (int i = 0; i < size; ++i)
      if (set >> i & 1) member[count++] = i;
    if (!solve_subset(g, h, member, count, c) || *std::min_element(c, c + count) < 0) continue;
    double value = 0;
    for (int a = 0; a < count; ++a) value -= 0.5 * h[member[a]] * c[a];
    if (value < best_value) {
      best_value = value;
      best.setZero();
      for (int a = 0; a < count; ++a) best[member[a]] = c[a];
    }
    // The unconstrained minimum is feasible: no subset can be better.
    if (count == size) break;
  }
  return best;
}

Total::Total(const Form& form, const Sample& sample) : form_(form), sample_(sample) {
  first_.resize(sample.y.size());
  second_.resize(sample.y.size());
}

void Total::operator()(const Criterion& criterion, const SmallVector& p, SecondOrder& out) {
  form_.values(p.data(), sample_.logx, work_, curve_);
  // r = ln f − ln y has ∇r = ∇f/f and ∇²r = ∇²f/f − ∇f∇fᵀ/f².
  const bool log = criterion.residual == Residual::kLog;
  if (log) {
    if (!(curve_.minCoeff() > 0)) {
      out.value = std::numeric_limits<double>::infinity();
      return;
    }
    residual_ = (curve_.array() / sample_.y.array()).log();
  } else {
    residual_ = curve_ - sample_.y;
  }
  out.value = 0;
  for (Eigen::Index i = 0; i < curve_.size(); ++i) {
    const double r = residual_[i], weight = sample_.weight[i];
    const double inverse = log ? 1 / curve_[i] : 1;
    const double slope = criterion.slope(r);
    out.value += weight * criterion.rho(r);
    first_[i] = weight * slope * inverse;
    second_[i] = weight * (criterion.bend(r) - (log ? slope : 0)) * inverse * inverse;
  }
  form_.accumulate(p.data(), sample_.logx, work_, first_, second_, out.gradient, out.hessian);
}

Optimum polish(const Form& form, const Sample& sample, const Criterion& criterion, const SmallVector& start) {
  const std::vector<Coordinate> coordinates = form.coordinates(sample.logx);
  SmallVector low(start.size()), high(start.size());
  for (Eigen::Index i = 0; i < start.size(); ++i) {
    low[i] = coordinates[i].low;
    high[i] = coordinates[i].high;
  }
  Optimum best{start, 0};
  Total total(form, sample);
  for (const Criterion& stage : stages(criterion))
    newton([&](const SmallVector& p, SecondOrder& out) { total(stage, p, out); }, best.coordinates, low, high);
  SecondOrder at;
  total(criterion, best.coordinates, at);
  best.objective = at.value;
  return best;
}

std::vector<Optimum> minimise(const Form& form, const Sample& sample, const Criterion& criterion) {
  const std::vector<Coordinate> coordinates = form.coordinates(sample.logx);
  const Grid grid(coordinates);
  LinearPart linear_part(form, sample, criterion);
  std::vector<double> value(grid.size);
  std::vector<SmallVector> linear(grid.size);
  double theta[kMaxParameters];
  for (size_t point = 0; point < grid.size; ++point) {
    grid.theta(point, theta);
    value[point] = linear_part.solve(theta, linear[point]);
  }

  std::vector<size_t> starts;
  for (size_t point = 0; point < grid.size; ++point)
    if (std::isfinite(value[point]) && grid.minimum(value, point)) starts.push_back(point);
  std::stable_sort(starts.begin(), starts.end(), [&](size_t a, size_t b) { return value[a] < value[b]; });
  if (starts.size() > kMaxStarts) starts.resize(kMaxStarts);

  std::vector<Optimum> optima;
  for (size_t point : starts) {
    SmallVector start(static_cast<Eigen::Index>(coordinates.size()));
    grid.theta(point, theta);
    start << linear[point], Eigen::Map<const Eigen::VectorXd>(theta, static_cast<Eigen::Index>(grid.axes.size()));
    Optimum optimum = polish(form, sample, criterion, start);
    if (std::isfinite(optimum.objective)) optima.push_back(std::move(optimum));
  }
  std::stable_sort(optima.begin(), optima.end(),
                   [](const Optimum& a, const Optimum& b) { return a.objective < b.objective; });
  std::vector<Optimum> distinct;
  for (Optimum& optimum : optima)
    if (std::none_of(distinct.begin(), distinct.end(), [&](const Optimum& d) { return same(d, optimum); }))
      distinct.push_back(std::move(optimum));
  return distinct;
}

}  // namespace scalelaw::analysis
