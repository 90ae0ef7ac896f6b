// Which form? The one that predicts runs larger than those it was fitted to.
//
// Rolling extrapolation: fit to what cost at most C_max/k, predict what cost more, for k = 3, 10, 30, 100 as far as the
// data reach. Forms are ranked by their errors there, told apart by the standard error of paired differences, and those
// that survive are stacked: weighted so that the mixture of their predictive distributions gives the held-out runs the
// highest probability (Yao et al. 2018, Bayesian Analysis 13, eq. 9, with held-out extrapolation in place of
// leave-one-out: a mixture is chosen for what it will be used for).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/law.h"

namespace scalelaw::analysis {

struct SelectionOptions {
  /// C_max over the largest compute that is fitted, each > 1.
  std::vector<double> factors = {3, 10, 30, 100};
  /// What is extrapolated in. Empty: `flops` where every observation has it, else the candidates' own column.
  std::string by;
  /// Draws of each fit. They give coverage and stacking weights; fewer than 50: only errors, no weights.
  int bootstrap = 100;
  /// 0: one per core. The result does not depend on it.
  int threads = 0;
};

/// One held-out point, predicted.
struct HeldOut {
  /// Index into `Selection::splits`.
  int split = 0;
  /// `by` over the largest that was fitted: how far it is extrapolated.
  double factor = 1;
  std::vector<std::string> runs;
  double observed = 0;
  double predicted = 0;
  /// ln predicted − ln observed.
  double log_error = 0;
  /// Within the 95 % interval; absent without a bootstrap.
  std::optional<bool> covered95;
};

/// A cut of the data: what is fitted and what is held out.
struct Split {
  /// The k of C_max/k.
  double k = 0;
  double threshold = 0;
  int fitted = 0;
  int held_out = 0;
};

/// Errors of the held-out points whose extrapolation factor lies in [low, high).
struct FactorError {
  double low = 0;
  double high = 0;
  int count = 0;
  /// Mean |ln predicted − ln observed|, and the mean with its sign (positive: predicts too much).
  double error = 0;
  double bias = 0;
  /// Share within the 95 % interval; NaN without a bootstrap.
  double coverage95 = 0;
};

struct RankedForm {
  /// Index into the candidates given.
  int candidate = 0;
  std::string form;
  std::vector<std::string> x;
  /// Mean |log error|, each split counting the same, over the splits that all forms managed; infinite for a form that
  /// cannot even be fitted where most is known.
  double error = 0;
  double bias = 0;
  double coverage95 = 0;
  /// Error above the best form's, and the standard error of that difference: over runs, paired.
  double excess = 0;
  double excess_se = 0;
  /// Not worse than the best by more than two standard errors: the held-out runs do not tell them apart.
  bool survives = false;
  /// In the stack: ≥ 0, over all forms they sum to 1. 0 for a form that does not survive; NaN without a bootstrap.
  double weight = 0;
  std::vector<FactorError> by_factor;
  std::vector<HeldOut> held_out;
  /// Why a split could not be fitted, by split.
  std::vector<std::string> failures;
};

struct Selection {
  std::string by;
  std::vector<Split> splits;
  /// Factors left out, with the reason (too few points below, none above).
  std::vector<std::string> skipped;
  /// Best first.
  std::vector<RankedForm> ranking;
  std::vector<std::string> warnings;
};

/// Ranks candidates, each the options of one fit (form, columns, objective, …), by rolling extrapolation.
///
/// All are judged by the same points: the frontier where any candidate is a law of the frontier, else all observations.
/// Their `bootstrap` and `threads` are those of `options`.
/// Errors: INVALID_ARGUMENT for no candidates, unknown columns, factors ≤ 1, a held-out value that is not positive;
/// FAILED_PRECONDITION where the data reach no factor, or no candidate can be fitted below any.
absl::StatusOr<Selection> select_form(const std::vector<Observation>& observations,
                                      const std::vector<FitOptions>& candidates, const SelectionOptions& options = {});

/// The best form fitted to all observations, with the other forms of the stack as its rivals: prediction intervals are
/// the mixture by stacking weights, and so hold what is not known about the form. (`FitOptions::rivals` weighs forms by
/// how they fit; these weights say how they extrapolated.) The value predicted is the best form's.
///
/// Forms of other columns or another residual than the best's cannot be mixed with it: they are left out with a
/// warning. Errors: as `fit`; FAILED_PRECONDITION for a selection without weights, INVALID_ARGUMENT for one of other
/// candidates.
absl::StatusOr<Law> fit_stack(const std::vector<Observation>& observations, const std::vector<FitOptions>& candidates,
                              const Selection& selection);

}  // namespace scalelaw::analysis
