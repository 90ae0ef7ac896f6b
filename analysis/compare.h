// Two recipes, or families of models, by what they cost for the same result.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/estimate.h"
#include "analysis/law.h"
#include "analysis/surface.h"

namespace scalelaw::analysis {

struct CompareOptions {
  /// Where to compare, in units of the laws' column: FLOPs, for laws of `flops` and for surfaces. Empty: at the largest
  /// value that both laws were fitted to.
  std::vector<double> at;
  /// For laws over size and data, which are compared at their own best allocation of the compute.
  SurfaceOptions a;
  SurfaceOptions b;
  /// Crossings are looked for from the least value that either was fitted to, divided by this, to the largest, times
  /// this.
  double horizon = 1000;
  /// The draws of the two laws go together, one by one (`fit_paired`). Otherwise they are independent.
  bool paired = false;
};

struct ComparedAt {
  /// Compute spent on A.
  double at = 0;
  /// The curves there.
  Estimate a;
  Estimate b;
  /// How many times A's compute B takes to reach A's value: above 1, A is the better one. Infinite where B never
  /// reaches it, whatever the compute.
  Estimate multiplier;
  /// Share of the draws in which B never reaches it.
  double unreachable = 0;
  /// Share of the draws in which A's curve is better here; NaN without draws.
  double a_better = 0;
  /// Within the range that both laws were fitted to, as is the compute at which B has A's value.
  bool inside = false;
};

/// Compute at which the curves cross.
struct Crossing {
  Estimate at;
  /// Share of the draws that have a crossing in the range searched; the interval is of those.
  double share = 0;
  /// Within the range that both laws were fitted to.
  bool inside = false;
  /// Which one is better beyond it.
  bool a_better_beyond = false;
};

struct Comparison {
  std::string metric;
  /// The column that is compared: `flops`, or the one that both laws are of.
  std::string column;
  bool paired = false;
  std::vector<ComparedAt> at;
  std::vector<Crossing> crossings;
  /// Share of the draws in which the curves cross in the range searched.
  double crossing_share = 0;
  std::vector<std::string> warnings;
};

/// Compares two laws of one column, or of size and data, or one of each, by a compute multiplier: m such that
/// L_B(m·C) = L_A(C). Both curves are followed to where they meet, however far: `inside` says whether observations
/// stand behind it.
///
/// Errors: INVALID_ARGUMENT naming the field: laws of different metrics, of different columns, a value that is not
/// positive; FAILED_PRECONDITION where a law has no best size.
absl::StatusOr<Comparison> compare(const Law& a, const Law& b, const CompareOptions& options);

/// Two laws fitted to observations with runs in common: same budget, size and seed.
struct PairedFit {
  Law a;
  Law b;
  /// Their draws go together: `CompareOptions::paired` holds.
  bool paired = false;
  /// Why not, for people; empty where they do.
  std::string reason;
  int common_runs = 0;
};

/// Fits both, and where they have runs in common resamples those together: what a seed or a budget does to both
/// recipes then cancels in the comparison. Runs that only one of them has are resampled on their own.
///
/// Takes runs in pairs, so it needs at least kPairsRuns common ones, and laws of observations rather than of a
/// frontier; otherwise the draws are independent, which is safe: the interval of the multiplier is then too wide,
/// where seeds matter, never too narrow.
/// Errors: as `fit`, with `a: ` or `b: ` before the message.
absl::StatusOr<PairedFit> fit_paired(const std::vector<Observation>& observations_a, const FitOptions& options_a,
                                     const std::vector<Observation>& observations_b, const FitOptions& options_b);

}  // namespace scalelaw::analysis
