// Uncertainty of a fit: replicates of the study, each fitted anew (`minimise_replicate`, `Resampler`).
//
// Five ways to make a replicate (`FitOptions::resample`):
//
// *pairs*: rows are drawn with replacement. Assumes nothing of the noise but that rows are independent.
// *cluster*: runs are drawn with replacement, each with all its rows: checkpoints of one run go together.
// *residual*: the fitted curve plus residuals drawn with replacement, each divided by √(1 − leverage), as a fit takes
//   that much of the noise away. Assumes noise of one kind everywhere.
// *wild*: the fitted curve plus each row's own residual, divided by 1 − leverage, times a random sign that all rows of
//   a run share (Wu 1986; Cameron, Gelbach and Miller 2008; for fewer than 12 runs Webb's six weights). Allows noise
//   that differs between rows, and few runs.
// *model*: every run's value is disturbed by normal noise of standard deviation σ_d. On a frontier, whose handful of
//   points cannot be drawn, the best size of each budget is taken anew (another one may win), and the disturbance of
//   each frontier point is put on the fitted curve. What taking the best of several noisy sizes adds on average is
//   subtracted: it is in the points that were fitted already.
//
// Small samples: σ is estimated with ν degrees of freedom, so each replicate by residuals or by the model takes its own
// σ_d = σ·√(ν/χ²_ν), which gives what comes out Student's, not Gauss's, tails: for a linear model the resulting
// intervals are the exact ones. It matters: with two degrees of freedom ±1.96 σ holds 81 %, not 95 %. Pairs and
// clusters have no σ to vary; there fewer are drawn than there are (see `drawn_units`). bench/analysis/coverage.cc
// measures the rates.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/law.h"
#include "analysis/noise.h"
#include "analysis/problem.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

/// From so many on, runs (or rows) may be drawn with replacement; fewer are too few for that.
inline constexpr int kPairsRuns = 30;

enum class Resampling { kPairs, kCluster, kResidual, kWild, kModel };

std::string_view name_of(Resampling resampling);

/// What `name` asks for; for an empty one or `auto`, what suits the problem (see `FitOptions::resample`).
/// Errors: INVALID_ARGUMENT for an unknown name, and for pairs and clusters on a frontier.
absl::StatusOr<Resampling> choose_resampling(std::string_view name, const Problem& problem);

/// Rows of the sample that are resampled, or left out, together: those of one run for `kCluster` and `kWild`, else each
/// row by itself.
std::vector<std::vector<int>> resampling_units(const Problem& problem, Resampling resampling);

/// How many of `units` a replicate draws: fewer than there are, so that the spread of the replicates makes up for what
/// the fit of `parameters` to `rows` takes from the residuals, (n − p)/n for pairs (Rao and Wu 1988 for a mean: n − 1)
/// and its counterpart for clusters (Stata's and MacKinnon's CR1), and for Student's tails, (1.96/t)².
int drawn_units(int units, int rows, int parameters);

/// `optima`: of the sample, as `minimise` gives them. `count` replicates, parameters in natural units. Bit for bit the
/// same for any number of threads. `progress`: see `FitOptions`.
std::vector<Draw> bootstrap(const Problem& problem, const Sample& sample, const std::vector<Optimum>& optima,
                            const Noise& noise, Resampling resampling, int count, std::uint64_t seed, int threads,
                            const std::function<void(int draws)>& progress = {});

}  // namespace scalelaw::analysis
