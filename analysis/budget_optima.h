// The optimum of every budget, by each approach, as a function of the runs' values: what a bootstrap over their noise
// calls again and again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/approaches.h"
#include "analysis/problem.h"

namespace scalelaw::analysis {

/// The optimum of one budget, where there is one.
struct FoundOptimum {
  double log_params = 0;
  double log_samples = 0;
  double value = 0;
  /// Why there is none; empty where there is.
  std::string reason;
};

struct SizingMethod {
  Approach approach = Approach::kEnvelope;
  /// Budgets, FLOPs.
  std::vector<double> flops;
  /// What the gaps between sizes leave open in ln N*, as a standard deviation, by budget.
  std::vector<double> unresolved;
  /// One per budget; values by row of the observations.
  std::function<std::vector<FoundOptimum>(const std::vector<double>& values)> optima;
};

/// Runs, sorted out: which rows are which run's, and which of them end it. Keeps a copy of the observations.
struct SizingStudy {
  std::vector<Observation> observations;
  Better better = Better::kLower;
  double budget_tolerance = 0;
  /// Number of each row's run.
  std::vector<int> run;
  /// Rows of each run, by FLOPs.
  std::vector<std::vector<int>> rows;
  /// Sizes at budgets, of the last row of every run; members are rows.
  std::vector<std::vector<Cell>> budgets;
  /// k of C = k·N·D.
  double flops_per_param_sample = 0;

  /// Some run has at least three rows of different FLOPs.
  bool has_curves() const;
};

SizingStudy make_study(std::vector<Observation> observations, Better better, double budget_tolerance);

/// Approach 1: over training curves where there are any, else over the budgets' sizes. Keeps a reference to the study,
/// as do those below.
SizingMethod envelope_method(const SizingStudy& study);
/// Approach 2, by either curve.
SizingMethod isoflop_method(const SizingStudy& study, Approach approach);

/// Approach 3: the fitted surface, refitted for other values from every basin of the first fit.
class FittedSurface {
 public:
  /// Errors: as `fit`.
  static absl::StatusOr<FittedSurface> fit(const SizingStudy& study, FitOptions options);

  /// Eight budgets from the smallest to the largest.
  SizingMethod method(const SizingStudy& study) const;
  /// The surface's values of all rows, without noise.
  std::vector<double> values(const SizingStudy& study) const;
  /// The best size at a budget.
  FoundOptimum optimum(double flops) const;
  /// Standard deviation of ln value about the surface, and its degrees of freedom.
  double scatter(const SizingStudy& study) const;
  int dof() const;

 private:
  std::vector<double> refitted(const SizingStudy& study, const std::vector<double>& values) const;
  FoundOptimum optimum(const std::vector<double>& parameters, double flops) const;

  std::shared_ptr<const Problem> problem_;
  Sample sample_;
  std::vector<Optimum> optima_;
  std::vector<double> parameters_;
  /// The row of the study that each point is.
  std::vector<int> rows_;
  Better better_ = Better::kLower;
  double flops_per_param_sample_ = 0;
  double log_low_ = 0;
  double log_high_ = 0;
};

}  // namespace scalelaw::analysis
