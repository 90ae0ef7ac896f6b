// Two fits whose bootstraps resample their common runs together.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "absl/status/status.h"
#include "analysis/bootstrap.h"
#include "analysis/compare.h"
#include "analysis/parallel.h"
#include "analysis/problem.h"
#include "analysis/random.h"
#include "analysis/resample.h"

namespace scalelaw::analysis {
namespace {

/// What makes two runs of different recipes the same experiment: budget and size, to 0.1 %, and seed. Repeats of it are
/// told apart by their number.
using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, int>;

std::int64_t rounded(double value) {
  return value > 0 ? std::llround(std::log(value) * 1000) : 0;
}

/// Rows of each run of a study, by what the run is.
std::map<Key, std::vector<int>> rows_by_key(const std::vector<Observation>& observations) {
  std::map<std::string, std::vector<int>> rows;
  for (size_t i = 0; i < observations.size(); ++i) rows[observations[i].run].push_back(static_cast<int>(i));
  std::map<Key, std::vector<int>> result;
  for (const auto& [run, members] : rows) {
    const Observation& last = observations[members.back()];
    Key key{rounded(last.budget_flops > 0 ? last.budget_flops : last.flops), rounded(last.params), last.seed, 0};
    while (result.count(key)) ++std::get<3>(key);
    result[key] = members;
  }
  return result;
}

/// One of the two studies: what is fitted, and how its draws are made.
struct Side {
  Problem problem;
  Sample sample;
  std::vector<std::vector<int>> common, own;
};

absl::StatusOr<Side> make_side(const std::vector<Observation>& observations, const FitOptions& options) {
  absl::StatusOr<Problem> problem = make_problem(observations, options);
  if (!problem.ok()) return problem.status();
  Side side{std::move(*problem), {}, {}, {}};
  side.sample = make_sample(side.problem.points, side.problem);
  return side;
}

void sort_runs(Side& a, Side& b) {
  auto rows_a = rows_by_key(a.problem.observations), rows_b = rows_by_key(b.problem.observations);
  for (auto& [key, rows] : rows_a) {
    const auto other = rows_b.find(key);
    if (other == rows_b.end()) {
      a.own.push_back(std::move(rows));
      continue;
    }
    a.common.push_back(std::move(rows));
    b.common.push_back(std::move(other->second));
    rows_b.erase(other);
  }
  for (auto& [key, rows] : rows_b) b.own.push_back(std::move(rows));
}

/// The share of its runs that a replicate of this side draws (see `drawn_units`).
double drawn_share(const Side& side) {
  const auto units = static_cast<int>(side.common.size() + side.own.size());
  const auto free = static_cast<int>(side.problem.form->coordinates(side.sample.logx).size());
  return static_cast<double>(drawn_units(units, static_cast<int>(side.sample.y.size()), free)) / units;
}

/// The same stream of random numbers for both sides chooses the common runs; each side's own are chosen apart.
std::vector<Draw> draw_together(const Side& side, const Law& law, const FitOptions& options, std::uint64_t seed,
                                std::uint64_t side_stream, double share) {
  const std::vector<Optimum> minima = minimise(*side.problem.form, side.sample, side.problem.criterion);
  const Noise noise = estimate_noise(side.problem, side.sample, minima.front());
  const Resampler resampler(*side.problem.form, side.sample, side.problem.criterion, minima);
  std::vector<Draw> draws(options.bootstrap);
  constexpr int kBatch = static_cast<int>(Resampler::kBatch);
  parallel_for((options.bootstrap + kBatch - 1) / kBatch, options.threads, [&](int batch) {
    const int from = batch * kBatch, to = std::min(options.bootstrap, from + kBatch);
    Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(side.sample.y.size(), to - from);
    for (int d = from; d < to; ++d) {
      Random shared(seed, static_cast<std::uint64_t>(d)), alone(seed ^ side_stream, static_cast<std::uint64_t>(d));
      for (long i = std::lround(share * static_cast<double>(side.common.size())); i > 0; --i)
        for (int row : side.common[shared.below(side.common.size())]) weights(row, d - from) += side.sample.weight[row];
      for (long i = std::lround(share * static_cast<double>(side.own.size())); i > 0; --i)
        for (int row : side.own[alone.below(side.own.size())]) weights(row, d - from) += side.sample.weight[row];
      draws[d].sigma = law.sigma * std::sqrt(noise.dof / alone.chi_squared(noise.dof));
    }
    const std::vector<Optimum> optima = resampler.minimise(weights);
    for (int d = from; d < to; ++d)
      draws[d].parameters =
          side.problem.form->parameters(optima[d - from].coordinates.data(), side.problem.log_scale.data());
  });
  return draws;
}

absl::Status prefixed(const char* law, const absl::Status& status) {
  return absl::Status(status.code(), fmt::format("{}: {}", law, std::string(status.message())));
}

std::string why_not(const Side& a, const Side& b, const FitOptions& options_a, const FitOptions& options_b) {
  if (a.problem.on_frontier || b.problem.on_frontier)
    return "a law of the frontier has no runs to pair: another run may be the best of its budget in every draw";
  if (options_a.bootstrap != options_b.bootstrap || options_a.seed != options_b.seed)
    return "the fits ask for different bootstraps";
  if (a.common.size() < static_cast<size_t>(kPairsRuns))
    return fmt::format("{} runs in common (same budget, size and seed), fewer than {}", a.common.size(), kPairsRuns);
  return "";
}

}  // namespace

absl::StatusOr<PairedFit> fit_paired(const std::vector<Observation>& observations_a, const FitOptions& options_a,
                                     const std::vector<Observation>& observations_b, const FitOptions& options_b) {
  absl::StatusOr<Law> law_a = fit(observations_a, options_a);
  if (!law_a.ok()) return prefixed("a", law_a.status());
  absl::StatusOr<Law> law_b = fit(observations_b, options_b);
  if (!law_b.ok()) return prefixed("b", law_b.status());
  absl::StatusOr<Side> a = make_side(observations_a, options_a), b = make_side(observations_b, options_b);
  if (!a.ok()) return prefixed("a", a.status());
  if (!b.ok()) return prefixed("b", b.status());
  sort_runs(*a, *b);

  PairedFit result;
  result.common_runs = static_cast<int>(a->common.size());
  result.reason = why_not(*a, *b, options_a, options_b);
  result.paired = result.reason.empty();
  result.a = std::move(*law_a);
  result.b = std::move(*law_b);
  if (result.paired) {
    const double share = std::min(drawn_share(*a), drawn_share(*b));
    result.a.draws = draw_together(*a, result.a, options_a, options_a.seed, 0xa, share);
    result.b.draws = draw_together(*b, result.b, options_b, options_b.seed, 0xb, share);
  }
  return result;
}

}  // namespace scalelaw::analysis
