#include "analysis/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "analysis/grid.h"
#include "analysis/kernels.h"
#include "analysis/newton.h"
#include "analysis/random.h"

namespace scalelaw::analysis {
namespace {

/// Most grid minima that are polished.
constexpr size_t kMaxStarts = 16;
/// Far from the points, the quadratic that stands in for the criterion hides minima: grids up to this size are polished
/// from every point.
constexpr size_t kSmallGrid = 64;
/// Known minima that a replicate of the sample is polished from.
constexpr size_t kMostKnown = 4;
/// Reweighting goes on until it gains less than this share.
constexpr int kMostReweightings = 20;
constexpr double kWorthwhile = 1e-2;

/// Solves for the linear coordinates at fixed exponents, and gives the criterion there.
class LinearPart {
 public:
  LinearPart(const Form& form, const Sample& sample, const Criterion& criterion)
      : form_(form),
        sample_(sample),
        shape_(criterion),
        reweight_(criterion.penalty != Penalty::kL2),
        either_sign_(either_sign(form.coordinates(sample.logx))) {
    inverse_y_ = sample.y.cwiseInverse();
    // In logs, (ŷ − y)/y is the residual to first order.
    if (shape_.log)
      unit_ = inverse_y_.cwiseAbs2();
    else
      unit_.setOnes(sample.y.size());
    robust_ = sample.weight;
  }

  /// `plain` is the least-squares solution and `unweighted` the criterion there.
  double solve(const double* theta, SmallVector& linear, SmallVector& plain, double& unweighted) {
    form_.basis(theta, sample_.logx, phi_, offset_);
    const Eigen::Index rows = phi_.rows(), count = phi_.cols();
    linear.resize(count);
    plain.resize(count);
    if (count == 0) {
      fitted_ = offset_;
      return unweighted = reweighted();
    }
    const double* columns[kMaxParameters];
    for (Eigen::Index j = 0; j < count; ++j) columns[j] = phi_.col(j).data();
    weight_ = sample_.weight.cwiseProduct(unit_);
    SmallMatrix gram(count, count);
    SmallVector moment(count);
    double best = std::numeric_limits<double>::infinity();
    for (int round = 0; round <= (reweight_ ? kMostReweightings : 0); ++round) {
      first_ = weight_.cwiseProduct(sample_.y - offset_);
      kernels().gram(rows, static_cast<int>(count), columns, weight_.data(), first_.data(), gram.data(), moment.data());
      const SmallVector candidate = nonnegative_minimum(gram, moment, either_sign_);
      fitted_ = offset_;
      for (Eigen::Index j = 0; j < count; ++j) fitted_ += candidate[j] * phi_.col(j);
      const double value = reweighted();
      if (round == 0) {
        unweighted = value;
        plain = candidate;
      }
      const bool done = !(value < best * (1 - kWorthwhile));
      if (value < best) {
        best = value;
        linear = candidate;
      }
      if (done && round > 1) break;
      weight_ = robust_.cwiseProduct(unit_);
    }
    return best;
  }

 private:
  /// The criterion at fitted_; robust_ for the next round.
  double reweighted() {
    return kernels().penalty_weights(shape_, fitted_.size(), fitted_.data(), sample_.y.data(), inverse_y_.data(),
                                     sample_.weight.data(), robust_.data());
  }

  const Form& form_;
  const Sample& sample_;
  const Shape shape_;
  const bool reweight_;
  const unsigned either_sign_;
  Eigen::VectorXd inverse_y_, unit_, offset_, fitted_, weight_, first_, robust_;
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

unsigned either_sign(const std::vector<Coordinate>& coordinates) {
  unsigned bits = 0;
  for (size_t j = 0; j < coordinates.size(); ++j)
    if (coordinates[j].linear() && coordinates[j].low < 0) bits |= 1u << j;
  return bits;
}

SmallVector nonnegative_minimum(const SmallMatrix& g, const SmallVector& h, unsigned either_sign) {
  const int size = static_cast<int>(h.size());
  SmallVector best = SmallVector::Zero(size);
  double best_value = 0;
  for (unsigned set = (1u << size) - 1; set > 0; --set) {
    int member[kMaxParameters];
    double c[kMaxParameters];
    int count = 0;
    for (int i = 0; i < size; ++i)
      if (set >> i & 1) member[count++] = i;
    if (!solve_subset(g, h, member, count, c)) continue;
    double value = 0;
    bool allowed = true;
    for (int a = 0; a < count; ++a) {
      value -= 0.5 * h[member[a]] * c[a];
      allowed &= c[a] >= 0 || (either_sign >> member[a] & 1);
    }
    if (!allowed) continue;
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

Box::Box(const std::vector<Coordinate>& coordinates) {
  const auto size = static_cast<Eigen::Index>(coordinates.size());
  low.resize(size);
  high.resize(size);
  for (Eigen::Index i = 0; i < size; ++i) {
    low[i] = coordinates[static_cast<size_t>(i)].low;
    high[i] = coordinates[static_cast<size_t>(i)].high;
  }
}

Total::Total(const Form& form, const Sample& sample)
    : form_(form), sample_(sample), inverse_y_(sample.y.cwiseInverse()) {
  first_.resize(sample.y.size());
  second_.resize(sample.y.size());
}

double Total::value(const Criterion& criterion, const SmallVector& p) {
  form_.values(p.data(), sample_.logx, work_, curve_);
  // Most points that are looked at are kept: the penalty's derivatives come with its value.
  value_ = kernels().penalty_slopes(Shape(criterion), curve_.size(), curve_.data(), sample_.y.data(), inverse_y_.data(),
                                    sample_.weight.data(), first_.data(), second_.data());
  return value_;
}

void Total::derivatives(const SmallVector& p, SecondOrder& out) {
  out.value = value_;
  form_.accumulate(p.data(), sample_.logx, work_, first_, second_, out.gradient, out.hessian);
}

void Total::operator()(const Criterion& criterion, const SmallVector& p, SecondOrder& out) {
  value(criterion, p);
  derivatives(p, out);
}

Optimum polish(const Form& form, const Sample& sample, const Criterion& criterion, const Box& box,
               const SmallVector& start) {
  struct Stage {
    Total& total;
    const Criterion& criterion;
    double value(const SmallVector& p) { return total.value(criterion, p); }
    void derivatives(const SmallVector& p, SecondOrder& out) { total.derivatives(p, out); }
  };
  Optimum best{start, 0};
  Total total(form, sample);
  for (const Criterion& stage : stages(criterion))
    best.objective = newton(Stage{total, stage}, best.coordinates, box.low, box.high);
  form.make_canonical(best.coordinates);
  if (criterion.penalty == Penalty::kLad) best.objective = total.value(criterion, best.coordinates);
  return best;
}

Optimum polish(const Form& form, const Sample& sample, const Criterion& criterion, const SmallVector& start) {
  return polish(form, sample, criterion, Box(form.coordinates(sample.logx)), start);
}

namespace {

/// The grid's minima with their linear coordinates, best first.
std::vector<SmallVector> grid_starts(const Form& form, const std::vector<Coordinate>& coordinates, const Sample& sample,
                                     const Criterion& criterion) {
  const Grid grid(coordinates);
  LinearPart linear_part(form, sample, criterion);
  std::vector<double> value(grid.size), unweighted(grid.size);
  std::vector<SmallVector> linear(grid.size), plain(grid.size);
  double theta[kMaxParameters];
  for (size_t point = 0; point < grid.size; ++point) {
    grid.theta(point, theta);
    value[point] = linear_part.solve(theta, linear[point], plain[point], unweighted[point]);
  }

  const bool every_point = grid.size <= kSmallGrid;
  struct Start {
    double value;
    size_t point;
    const SmallVector* linear;
  };
  std::vector<Start> minima;
  for (size_t point = 0; point < grid.size; ++point) {
    if (std::isfinite(value[point]) && (every_point || grid.minimum(value.data(), point)))
      minima.push_back({value[point], point, &linear[point]});
    if (std::isfinite(unweighted[point]) && unweighted[point] > value[point] &&
        (every_point || grid.minimum(unweighted.data(), point)))
      minima.push_back({unweighted[point], point, &plain[point]});
  }
  std::stable_sort(minima.begin(), minima.end(), [](const Start& a, const Start& b) { return a.value < b.value; });
  if (!every_point && minima.size() > kMaxStarts) minima.resize(kMaxStarts);
  std::vector<SmallVector> starts;
  for (const Start& from : minima) {
    SmallVector start(static_cast<Eigen::Index>(coordinates.size()));
    grid.theta(from.point, theta);
    const Eigen::Index count = from.linear->size();
    start.head(count) = *from.linear;
    for (size_t d = 0; d < grid.axes.size(); ++d) start[count + static_cast<Eigen::Index>(d)] = theta[d];
    starts.push_back(std::move(start));
  }
  return starts;
}

/// kSearchRows rows, chosen at random but always the same.
Sample some_rows(const Sample& sample) {
  std::vector<Eigen::Index> rows(static_cast<size_t>(sample.y.size()));
  std::iota(rows.begin(), rows.end(), 0);
  Random random(0, 0);
  for (Eigen::Index i = 0; i < kSearchRows; ++i)
    std::swap(rows[static_cast<size_t>(i)],
              rows[static_cast<size_t>(i) + random.below(rows.size() - static_cast<size_t>(i))]);
  rows.resize(kSearchRows);
  return {sample.logx(rows, Eigen::all), sample.y(rows), sample.weight(rows)};
}

std::vector<SmallVector> all_starts(const Form& form, const std::vector<Coordinate>& coordinates, const Sample& sample,
                                    const Criterion& criterion) {
  if (sample.y.size() > kSearchRows) {
    std::vector<SmallVector> starts;
    for (const Optimum& optimum : minimise(form, some_rows(sample), criterion)) starts.push_back(optimum.coordinates);
    return starts;
  }
  return form.has_starts() ? form.starts(coordinates, sample, criterion)
                           : grid_starts(form, coordinates, sample, criterion);
}

}  // namespace

std::vector<Optimum> minimise(const Form& form, const Sample& sample, const Criterion& criterion) {
  const std::vector<Coordinate> coordinates = form.coordinates(sample.logx);
  const Box box(coordinates);
  std::vector<Optimum> optima;
  for (const SmallVector& start : all_starts(form, coordinates, sample, criterion)) {
    Optimum optimum = polish(form, sample, criterion, box, start);
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

Optimum minimise_replicate(const Form& form, const Sample& sample, const Criterion& criterion,
                           const std::vector<Optimum>& known) {
  const Box box(form.coordinates(sample.logx));
  Optimum best = known.front();
  best.objective = std::numeric_limits<double>::infinity();
  const auto consider = [&](Optimum other) {
    if (other.objective < best.objective) best = std::move(other);
  };
  for (size_t k = 0; k < std::min(kMostKnown, known.size()); ++k)
    consider(polish(form, sample, criterion, box, known[k].coordinates));
  if (form.has_starts()) return best;
  for (Optimum& optimum : minimise(form, sample, criterion)) consider(std::move(optimum));
  return best;
}

}  // namespace scalelaw::analysis
