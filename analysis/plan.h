// Which runs to do next: those that narrow a prediction most for their compute.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/law.h"
#include "analysis/surface.h"

namespace scalelaw::analysis {

/// A run that could be done.
struct Candidate {
  /// A value for each of the law's columns.
  std::map<std::string, double> at;
  /// What one such run costs, FLOPs. For a law of the frontier: the whole rung, all sizes of the budget.
  double flops = 0;
  /// Most runs of it, each with a seed of its own.
  int repeats = 1;
  /// The caller's own name for it.
  std::string name;
};

/// Every size at every budget, for a law over size and data; for a law of `flops` alone, every budget once, at the cost
/// of all sizes. `sizes` may be empty for the latter: one run a budget.
/// Errors: as `Surface::make`; INVALID_ARGUMENT for a budget or size that is not positive.
absl::StatusOr<std::vector<Candidate>> candidate_grid(const Law& law, const std::vector<double>& budgets,
                                                      const std::vector<double>& sizes, int repeats,
                                                      const SurfaceOptions& options);

struct PlanOptions {
  /// The prediction to narrow; exactly one of the two. `at`: the value at these columns. `best_params_at_flops`: the
  /// best size for a budget, of a law over size and data.
  std::map<std::string, double> at;
  std::optional<double> best_params_at_flops;
  SurfaceOptions surface;
  /// To spend, FLOPs.
  double flops = 0;
  std::vector<Candidate> candidates;
  int max_runs = 100;
  /// Wanted: a 95 % interval of the target's curve of ± so much, in units of the metric (for a best size: a share of
  /// it). The plan then ends where it is reached, and `flops` may be left 0 for no budget: how many more runs?
  std::optional<double> half_width;
};

struct PlannedRun {
  /// Index among the candidates.
  int candidate = 0;
  std::map<std::string, double> at;
  double flops = 0;
  /// One that no observation and no other planned run at this place has.
  std::int64_t seed = 0;
  /// Share of the plan's whole reduction of variance that it brings, after those before it.
  double contribution = 0;
  /// Expected half width of the curve's 95 % interval once this run and those before it are done.
  double half_width = 0;
};

/// Half widths of 95 % intervals at the target, in units of the metric (of ln N for a best size).
struct Widths {
  /// Of the curve: the uncertainty of the parameters.
  double curve = 0;
  /// Of one new run: noise included. 0 for a best size.
  double run = 0;
};

struct Plan {
  /// The target's value by the law as it stands.
  double target = 0;
  /// Best first: the most reduction of variance per FLOP.
  std::vector<PlannedRun> runs;
  double flops = 0;
  Widths before;
  Widths after;
  /// Whether `half_width` is reached; true where none was asked for.
  bool reached = true;
  std::vector<std::string> warnings;
};

/// Chooses runs by c-optimal design (Pukelsheim 1993, chapter 2): the prediction's variance is cᵀM⁻¹c, with M the
/// information of the runs that exist, and a run at x adds g(x)g(x)ᵀ/σ² to M. In place of M⁻¹ stands the covariance of
/// the law's bootstrap draws, which knows of bounds and of bent curves: with k(x, t) the draws' covariance of the curve
/// at x and at the target (in logs where residuals are), a run at x lowers the variance by k(x, t)²/(k(x, x) + σ²).
/// Runs are added greedily, by reduction per FLOP and by reduction alone, and both lists improved by exchange, until
/// no run can be replaced for the better.
///
/// Widths use Student's t: more runs also make the noise better known. They are expectations: they hold if the law
/// does, so a plan that gathers at few places should leave something for checking the form.
///
/// Errors: INVALID_ARGUMENT naming the field; FAILED_PRECONDITION for a law without draws or noise.
absl::StatusOr<Plan> plan(const Law& law, const std::vector<Observation>& observations, const PlanOptions& options);

}  // namespace scalelaw::analysis
