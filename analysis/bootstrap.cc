#include "analysis/bootstrap.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>

#include "absl/status/status.h"
#include "analysis/linearised.h"
#include "analysis/parallel.h"
#include "analysis/quantile.h"
#include "analysis/random.h"
#include "analysis/resample.h"

namespace scalelaw::analysis {
namespace {

/// From so many runs on, random signs alone make enough different replicates.
constexpr size_t kEnoughForSigns = 12;
/// Streams of the random numbers that set the mean of the selection, before those of the draws.
constexpr int kSelectionDraws = 400;
/// Student's tails without bound would overflow a curve; this is beyond every quantile that is reported.
constexpr double kMostInflation = 60;

constexpr Resampling kAll[] = {Resampling::kPairs, Resampling::kCluster, Resampling::kResidual, Resampling::kWild,
                               Resampling::kModel};

double disturb(double value, double noise, Residual residual) {
  return residual == Residual::kLog ? value * std::exp(noise) : value + noise;
}
double difference(double a, double b, Residual residual) {
  return residual == Residual::kLog ? std::log(a / b) : a - b;
}

Eigen::VectorXd curve(const Form& form, const Eigen::MatrixXd& logx, const SmallVector& p) {
  Eigen::VectorXd fitted(logx.rows());
  SecondOrder at;
  double x[kMaxParameters];
  for (Eigen::Index i = 0; i < logx.rows(); ++i) {
    for (Eigen::Index c = 0; c < logx.cols(); ++c) x[c] = logx(i, c);
    form.second_order(p.data(), x, at);
    fitted[i] = at.value;
  }
  return fitted;
}

double inflate(const Noise& noise, Random& random) {
  return std::min(kMostInflation, std::sqrt(noise.dof / random.chi_squared(noise.dof)));
}

/// Replicates by the model: see the head of bootstrap.h.
class ModelBootstrap {
 public:
  ModelBootstrap(const Problem& problem, const std::vector<Optimum>& optima, const Noise& noise, std::uint64_t seed)
      : problem_(problem), optima_(optima), noise_(noise), seed_(seed) {
    // Cells of one budget compete for the frontier; elsewhere every cell is a point of its own.
    for (size_t c = 0; c < problem.cells.size(); ++c) {
      const bool same_budget = problem.on_frontier && !rivals_.empty() &&
                               problem.cells[rivals_.back().front()].budget_flops == problem.cells[c].budget_flops;
      if (!same_budget) rivals_.emplace_back();
      rivals_.back().push_back(static_cast<int>(c));
    }
    selection_.assign(rivals_.size(), 0);
    if (!problem.on_frontier) return;
    for (int d = 0; d < kSelectionDraws; ++d) {
      Random random(~seed, static_cast<std::uint64_t>(d));
      std::vector<Cell> points;
      const std::vector<double> shifts = disturb_points(random, noise.sigma, points);
      for (size_t k = 0; k < shifts.size(); ++k) selection_[k] += shifts[k] / kSelectionDraws;
    }
  }

  Draw draw(int index) const {
    Random random(seed_, static_cast<std::uint64_t>(index));
    const double inflation = inflate(noise_, random);
    std::vector<Cell> points;
    const std::vector<double> shifts = disturb_points(random, noise_.sigma * inflation, points);
    Sample sample = make_sample(points, problem_);
    const Eigen::VectorXd fitted = curve(*problem_.form, sample.logx, optima_.front().coordinates);
    for (size_t k = 0; k < points.size(); ++k)
      sample.y[k] = disturb(fitted[k], shifts[k] - inflation * selection_[k], problem_.criterion.residual);
    const Optimum best = minimise_replicate(*problem_.form, sample, problem_.criterion, optima_);
    return {problem_.form->parameters(best.coordinates.data(), problem_.log_scale.data()), noise_.sigma * inflation};
  }

 private:
  /// Disturbs every cell and takes the best of each budget; returns how far each point moved.
  std::vector<double> disturb_points(Random& random, double sigma, std::vector<Cell>& points) const {
    const Residual residual = problem_.criterion.residual;
    std::vector<double> shifts;
    for (size_t k = 0; k < rivals_.size(); ++k) {
      Cell best;
      for (int c : rivals_[k]) {
        Cell cell = problem_.cells[c];
        double noise = 0;
        const size_t draws = noise_.per_run ? cell.members.size() : 1;
        for (size_t m = 0; m < draws; ++m) {
          // A row without weight is not fitted: what noise it has does not matter.
          const double weight = problem_.observations[cell.members[m]].weight;
          noise += sigma / std::sqrt(weight > 0 ? weight : 1) * random.normal() / static_cast<double>(draws);
        }
        cell.value = disturb(cell.value, noise, residual);
        const bool first = c == rivals_[k].front();
        if (first || (problem_.better == Better::kLower ? cell.value < best.value : cell.value > best.value))
          best = std::move(cell);
      }
      shifts.push_back(difference(best.value, problem_.points[k].value, residual));
      points.push_back(std::move(best));
    }
    return shifts;
  }

  const Problem& problem_;
  const std::vector<Optimum>& optima_;
  const Noise noise_;
  const std::uint64_t seed_;
  std::vector<std::vector<int>> rivals_;
  std::vector<double> selection_;
};

/// Replicates by residuals, each row's own or another's: see the head of bootstrap.h.
class ResidualBootstrap {
 public:
  ResidualBootstrap(const Problem& problem, const Sample& sample, const std::vector<Optimum>& optima,
                    const Noise& noise, Resampling resampling, std::uint64_t seed)
      : problem_(problem),
        sample_(sample),
        optima_(optima),
        noise_(noise),
        wild_(resampling == Resampling::kWild),
        seed_(seed),
        units_(resampling_units(problem, resampling)),
        fitted_(curve(*problem.form, sample.logx, optima.front().coordinates)) {
    const Linearised linearised = linearise(problem, sample, optima.front().coordinates);
    const Eigen::ArrayXd kept = 1 - linearised.leverage.array();
    shock_ = wild_ ? (-linearised.residual.array() / kept).eval() : (-linearised.residual.array() / kept.sqrt()).eval();
    if (!wild_) shock_.array() -= shock_.mean();
  }

  Draw draw(int index) const {
    Random random(seed_, static_cast<std::uint64_t>(index));
    const double inflation = inflate(noise_, random);
    Sample sample = sample_;
    for (const std::vector<int>& unit : units_) {
      const double sign = random_sign(random);
      for (int row : unit) {
        const double shock = wild_ ? sign * shock_[row] : inflation * shock_[random.below(shock_.size())];
        const double weight = sample.weight[row];
        sample.y[row] = disturb(fitted_[row], shock / std::sqrt(weight > 0 ? weight : 1), problem_.criterion.residual);
      }
    }
    const Optimum best = minimise_replicate(*problem_.form, sample, problem_.criterion, optima_);
    return {problem_.form->parameters(best.coordinates.data(), problem_.log_scale.data()), noise_.sigma * inflation};
  }

 private:
  /// Mean 0, variance 1: ±1, or for few runs ±√(1/2), ±1, ±√(3/2) (Webb 2014).
  double random_sign(Random& random) const {
    const double sign = random.below(2) == 0 ? -1 : 1;
    if (units_.size() >= kEnoughForSigns) return sign;
    return sign * std::sqrt(0.5 * static_cast<double>(1 + random.below(3)));
  }

  const Problem& problem_;
  const Sample& sample_;
  const std::vector<Optimum>& optima_;
  const Noise noise_;
  const bool wild_;
  const std::uint64_t seed_;
  const std::vector<std::vector<int>> units_;
  const Eigen::VectorXd fitted_;
  /// Observed minus fitted, scaled to the noise.
  Eigen::VectorXd shock_;
};

/// Counts draws over all threads.
class Count {
 public:
  explicit Count(const std::function<void(int)>& progress) : progress_(progress) {}
  void add(int draws) {
    const int done = done_ += draws;
    if (progress_) progress_(done);
  }

 private:
  const std::function<void(int)>& progress_;
  std::atomic<int> done_{0};
};

std::vector<Draw> drawing_bootstrap(const Problem& problem, const Sample& sample, const std::vector<Optimum>& optima,
                                    const Noise& noise, Resampling resampling, int count, std::uint64_t seed,
                                    int threads, Count& done) {
  const std::vector<std::vector<int>> units = resampling_units(problem, resampling);
  const int drawn = drawn_units(static_cast<int>(units.size()), static_cast<int>(sample.y.size()),
                                static_cast<int>(optima.front().coordinates.size()));
  const Resampler resampler(*problem.form, sample, problem.criterion, optima);
  std::vector<Draw> draws(count);
  constexpr int kBatch = static_cast<int>(Resampler::kBatch);
  parallel_for((count + kBatch - 1) / kBatch, threads, [&](int batch) {
    const int from = batch * kBatch, to = std::min(count, from + kBatch);
    Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(sample.y.size(), to - from);
    for (int d = from; d < to; ++d) {
      Random random(seed, static_cast<std::uint64_t>(d));
      draws[d].sigma = noise.sigma * inflate(noise, random);
      for (int i = 0; i < drawn; ++i)
        for (int row : units[random.below(units.size())]) weights(row, d - from) += sample.weight[row];
    }
    const std::vector<Optimum> found = resampler.minimise(weights);
    for (int d = from; d < to; ++d)
      draws[d].parameters = problem.form->parameters(found[d - from].coordinates.data(), problem.log_scale.data());
    done.add(to - from);
  });
  return draws;
}

template <class Bootstrap>
std::vector<Draw> draw_each(const Bootstrap& bootstrap, int count, int threads, Count& done) {
  std::vector<Draw> draws(count);
  parallel_for(count, threads, [&](int d) {
    draws[d] = bootstrap.draw(d);
    done.add(1);
  });
  return draws;
}

}  // namespace

std::string_view name_of(Resampling resampling) {
  switch (resampling) {
    case Resampling::kPairs:
      return "pairs";
    case Resampling::kCluster:
      return "cluster";
    case Resampling::kResidual:
      return "residual";
    case Resampling::kWild:
      return "wild";
    case Resampling::kModel:
      return "model";
  }
  return "";
}

absl::StatusOr<Resampling> choose_resampling(std::string_view name, const Problem& problem) {
  if (name.empty() || name == "auto") {
    if (problem.on_frontier) return Resampling::kModel;
    const size_t runs = resampling_units(problem, Resampling::kCluster).size();
    const bool alone = runs == problem.points.size();
    if (runs >= static_cast<size_t>(kPairsRuns)) return alone ? Resampling::kPairs : Resampling::kCluster;
    return alone ? Resampling::kModel : Resampling::kWild;
  }
  for (Resampling resampling : kAll) {
    if (name != name_of(resampling)) continue;
    if (problem.on_frontier && (resampling == Resampling::kPairs || resampling == Resampling::kCluster))
      return absl::InvalidArgumentError(
          fmt::format("resample: '{}' needs points that are runs, but these are the best sizes of their budgets; use "
                      "model, residual or wild",
                      name));
    return resampling;
  }
  return absl::InvalidArgumentError(
      fmt::format("resample: '{}' is unknown; known: auto, pairs, cluster, residual, wild, model", name));
}

std::vector<std::vector<int>> resampling_units(const Problem& problem, Resampling resampling) {
  const bool by_run = resampling == Resampling::kCluster || resampling == Resampling::kWild;
  std::map<std::string, size_t> place;
  std::vector<std::vector<int>> units;
  for (size_t i = 0; i < problem.points.size(); ++i) {
    const int row = static_cast<int>(i);
    if (problem.on_frontier || !by_run) {
      units.push_back({row});
      continue;
    }
    const std::string& run = problem.observations[problem.points[i].members.front()].run;
    const auto [at, added] = place.emplace(run, units.size());
    if (added) units.emplace_back();
    units[at->second].push_back(row);
  }
  return units;
}

int drawn_units(int units, int rows, int parameters) {
  const double n = rows, p = parameters, g = units;
  const bool clusters = units < rows;
  const double dof = std::max(1.0, clusters ? g - 1 : n - p);
  const double shrinkage = clusters ? (g - 1) / g * (n - p) / (n - 1) : (n - p) / n;
  const double tails = 1.959964 / student_quantile(0.975, static_cast<int>(dof));
  return std::clamp(static_cast<int>(std::lround(g * shrinkage * tails * tails)), 1, units);
}

std::vector<Draw> bootstrap(const Problem& problem, const Sample& sample, const std::vector<Optimum>& optima,
                            const Noise& noise, Resampling resampling, int count, std::uint64_t seed, int threads,
                            const std::function<void(int draws)>& progress) {
  if (count == 0) return {};
  Count done(progress);
  switch (resampling) {
    case Resampling::kPairs:
    case Resampling::kCluster:
      return drawing_bootstrap(problem, sample, optima, noise, resampling, count, seed, threads, done);
    case Resampling::kResidual:
    case Resampling::kWild:
      return draw_each(ResidualBootstrap(problem, sample, optima, noise, resampling, seed), count, threads, done);
    case Resampling::kModel:
      return draw_each(ModelBootstrap(problem, optima, noise, seed), count, threads, done);
  }
  return {};
}

}  // namespace scalelaw::analysis
