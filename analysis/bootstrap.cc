#include "analysis/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/parallel.h"
#include "analysis/random.h"
#include "analysis/resample.h"

namespace scalelaw::analysis {
namespace {

/// The scatter about the curve counts as more than seed noise where its variance exceeds the seeds' by this factor
/// (an F test at about 20 % for a few degrees of freedom).
constexpr double kMisfitRatio = 2;
/// Streams of the random numbers that set the mean of the selection, before those of the draws.
constexpr int kSelectionDraws = 400;

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

int distinct_runs(const Problem& problem) {
  std::map<std::string, int> runs;
  for (const Observation& o : problem.observations) ++runs[o.run];
  return static_cast<int>(runs.size());
}

/// Replicates a small study: see the head of bootstrap.h.
class ModelBootstrap {
 public:
  ModelBootstrap(const Problem& problem, const Optimum& optimum, const Noise& noise, std::uint64_t seed)
      : problem_(problem), optimum_(optimum), noise_(noise), seed_(seed) {
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
    // Student's tails without bound would overflow a curve; 60 σ is beyond every quantile that is reported.
    const double inflation = std::min(60.0, std::sqrt(noise_.dof / random.chi_squared(noise_.dof)));
    std::vector<Cell> points;
    const std::vector<double> shifts = disturb_points(random, noise_.sigma * inflation, points);
    Sample sample = make_sample(points, problem_);
    const Eigen::VectorXd fitted = curve(*problem_.form, sample.logx, optimum_.coordinates);
    for (size_t k = 0; k < points.size(); ++k)
      sample.y[k] = disturb(fitted[k], shifts[k] - inflation * selection_[k], problem_.criterion.residual);
    const std::vector<Optimum> optima = minimise(*problem_.form, sample, problem_.criterion);
    const SmallVector& best = optima.empty() ? optimum_.coordinates : optima.front().coordinates;
    return {problem_.form->parameters(best.data(), problem_.log_scale.data()), noise_.sigma * inflation};
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
        for (size_t m = 0; m < draws; ++m) noise += sigma * random.normal() / static_cast<double>(draws);
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
  const Optimum& optimum_;
  const Noise noise_;
  const std::uint64_t seed_;
  std::vector<std::vector<int>> rivals_;
  std::vector<double> selection_;
};

/// Rows of each run, for drawing runs with replacement.
std::vector<std::vector<int>> rows_by_run(const Problem& problem) {
  std::map<std::string, size_t> place;
  std::vector<std::vector<int>> rows;
  for (size_t i = 0; i < problem.observations.size(); ++i) {
    const auto [at, added] = place.emplace(problem.observations[i].run, rows.size());
    if (added) rows.emplace_back();
    rows[at->second].push_back(static_cast<int>(i));
  }
  return rows;
}

std::vector<Draw> pairs_bootstrap(const Problem& problem, const Sample& sample, const Optimum& optimum,
                                  const Noise& noise, int count, std::uint64_t seed, int threads) {
  const std::vector<std::vector<int>> rows = rows_by_run(problem);
  const Resampler resampler(*problem.form, sample, problem.criterion, optimum);
  std::vector<Draw> draws(count);
  constexpr int kBatch = static_cast<int>(Resampler::kBatch);
  parallel_for((count + kBatch - 1) / kBatch, threads, [&](int batch) {
    const int from = batch * kBatch, to = std::min(count, from + kBatch);
    Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(sample.y.size(), to - from);
    for (int d = from; d < to; ++d) {
      Random random(seed, static_cast<std::uint64_t>(d));
      draws[d].sigma = noise.sigma * std::sqrt(noise.dof / random.chi_squared(noise.dof));
      for (size_t i = 0; i < rows.size(); ++i)
        for (int row : rows[random.below(rows.size())]) weights(row, d - from) += 1;
    }
    const std::vector<Optimum> optima = resampler.minimise(weights);
    for (int d = from; d < to; ++d)
      draws[d].parameters = problem.form->parameters(optima[d - from].coordinates.data(), problem.log_scale.data());
  });
  return draws;
}

}  // namespace

Noise estimate_noise(const Problem& problem, const Sample& sample, const Optimum& optimum) {
  const Eigen::VectorXd fitted = curve(*problem.form, sample.logx, optimum.coordinates);
  double scatter = 0, scatter_per_run = 0;
  for (Eigen::Index i = 0; i < fitted.size(); ++i) {
    const double r = difference(sample.y[i], fitted[i], problem.criterion.residual);
    scatter += r * r;
    scatter_per_run += r * r * static_cast<double>(problem.points[i].members.size());
  }
  const int parameters = static_cast<int>(optimum.coordinates.size());
  const int dof = std::max(1, static_cast<int>(fitted.size()) - parameters);

  double seeds = 0;
  int seeds_dof = 0;
  for (const Cell& cell : problem.cells) {
    for (int m : cell.members) {
      const double r = difference(problem.observations[m].value, cell.value, problem.criterion.residual);
      if (std::isfinite(r)) seeds += r * r;
    }
    seeds_dof += static_cast<int>(cell.members.size()) - 1;
  }
  const bool explained = seeds_dof > 0 && scatter_per_run / dof <= kMisfitRatio * seeds / seeds_dof;
  if (explained) return {std::sqrt((scatter_per_run + seeds) / (dof + seeds_dof)), dof + seeds_dof, true};
  return {std::sqrt(scatter / dof), dof, seeds_dof == 0};
}

std::vector<Draw> bootstrap(const Problem& problem, const Sample& sample, const Optimum& optimum, const Noise& noise,
                            int count, std::uint64_t seed, int threads) {
  if (!problem.on_frontier && distinct_runs(problem) >= kPairsRuns)
    return pairs_bootstrap(problem, sample, optimum, noise, count, seed, threads);
  const ModelBootstrap model(problem, optimum, noise, seed);
  std::vector<Draw> draws(count);
  parallel_for(count, threads, [&](int d) { draws[d] = model.draw(d); });
  return draws;
}

}  // namespace scalelaw::analysis
