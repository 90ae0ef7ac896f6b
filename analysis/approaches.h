// Which size is best for a budget? The three approaches of Hoffmann et al. 2022 (section 3), with errors, and whether
// they agree.
//
//   Approach 1, `envelope`    the best of the sizes tried at every budget, or of the training curves at every compute
//   Approach 2, `parabola`    the minimum of a parabola in ln N through one budget's sizes
//               `akima`       the minimum of Akima's interpolation of ln value in ln N (Porian et al. 2024, 2406.19146)
//   Approach 3, `parametric`  the minimum along C = k·N·D of a surface fitted to all runs
//
// Each gives one optimum per budget and power laws N*(C), D*(C) through them. Errors come from a bootstrap over the
// noise of runs: every replicate disturbs all runs once and is given to all approaches, so that their differences are
// known better than their values. The runs' noise is the same for all rows of a run.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/frontier.h"
#include "analysis/law.h"
#include "analysis/power_law.h"

namespace scalelaw::analysis {

enum class Approach { kEnvelope, kParabola, kAkima, kParametric };

/// `envelope`, `parabola`, `akima`, `parametric`.
std::string_view approach_name(Approach approach);
/// Errors: INVALID_ARGUMENT with the names that exist.
absl::StatusOr<Approach> approach_of(std::string_view name);

struct ApproachOptions {
  /// Empty: all four.
  std::vector<Approach> approaches;
  /// Approach 3's surface (form, objective, residual; default: chinchilla as `fit` fits it); `metric`, `min_flops`,
  /// `max_flops`, `seed` and `threads` hold for all approaches. Columns must be (params, samples).
  FitOptions surface;
  Better better = Better::kLower;
  /// Runs whose FLOPs agree within this share are one budget.
  double budget_tolerance = 0.02;
  /// Standard deviation of ln value of one run. Default: from seeds where they have 5 degrees of freedom; else from the
  /// scatter about the budgets' parabolas where that has; else from that about the surface.
  std::optional<double> noise;
  /// Replicates of the noise; at least 50.
  int draws = 400;
  /// Where the approaches are compared, FLOPs. 0: at the largest budget.
  double at_flops = 0;
};

/// What is best at one budget.
struct BudgetOptimum {
  double flops = 0;
  double params = 0;
  double samples = 0;
  double value = 0;
  /// Standard deviation of ln params (and of ln samples: along a budget the two are one).
  double log_std = 0;
};

/// A budget without an optimum, and why.
struct BudgetWithout {
  double flops = 0;
  std::string reason;
};

/// How far an approach errs by construction: on the fitted surface itself, without noise, on these very runs.
/// Approach 2's parabola is no parabola (its cubic term moves the vertex: −2.88 % in D for Hoffmann's surface and sizes
/// within ±8×), and an envelope knows only the sizes tried.
struct OwnBias {
  double exponent = 0;
  /// ln of (found params/true params) at `at_flops`.
  double log_params = 0;
};

struct OptimalSizes {
  Approach approach = Approach::kEnvelope;
  std::vector<BudgetOptimum> optima;
  std::vector<BudgetWithout> skipped;
  /// N*(C) and D*(C). Standard errors: the larger of what the runs' noise makes (over the draws) and what the optima's
  /// scatter about the power law shows.
  PowerLaw params;
  PowerLaw samples;
  /// ln params at `at_flops`, by draw, and the exponents of N*; the d-th draws of all approaches share their noise. NaN
  /// where a draw has no power law.
  std::vector<double> draw_log_params;
  std::vector<double> draw_exponent;
  /// Absent for the parametric approach, and where that failed.
  std::optional<OwnBias> own_bias;
  std::vector<std::string> warnings;
};

/// One quantity, by two approaches.
struct Disagreement {
  Approach a = Approach::kEnvelope;
  Approach b = Approach::kEnvelope;
  /// `exponent` of N*, or `params`: ln N* at `at_flops`.
  std::string quantity;
  double a_value = 0;
  double b_value = 0;
  /// Of the difference a − b: from paired draws, and each one's scatter beyond its noise.
  double se = 0;
  double z = 0;
  /// |z| beyond which they disagree: 5 % over all pairs and quantities together (Bonferroni), Student's.
  double critical = 0;
  bool disagree = false;
  /// The difference that the approaches' own biases explain; 0 where unknown.
  double expected = 0;
};

struct ApproachComparison {
  std::vector<OptimalSizes> approaches;
  /// Approaches that these runs do not allow, with the reason.
  std::vector<std::string> impossible;
  std::vector<Disagreement> disagreements;
  /// Noise of one run that the draws have (standard deviation of ln value), its degrees of freedom (0: given), and
  /// where it comes from: `given`, `seeds`, `parabolas`, `surface`.
  double noise = 0;
  int noise_dof = 0;
  std::string noise_source;
  double at_flops = 0;
  /// k of C = k·N·D: its geometric mean over the runs.
  double flops_per_param_sample = 0;
  /// One line for people: who disagrees with whom, by how much; or that they agree.
  std::string verdict;
};

/// Runs the approaches and compares them.
///
/// Training curves are runs with several rows of different FLOPs; Approach 1 then takes their envelope and the others
/// only each run's last row. An optimum at the smallest or largest size of its budget is none: a better size may lie
/// beyond.
/// Errors: INVALID_ARGUMENT for options and for values that are not positive; FAILED_PRECONDITION where no approach is
/// possible, with all reasons.
absl::StatusOr<ApproachComparison> compare_approaches(const std::vector<Observation>& observations,
                                                      const ApproachOptions& options);

}  // namespace scalelaw::analysis
