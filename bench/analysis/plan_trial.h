// What a plan delivers: studies simulated with and without its runs.
#pragma once

#include <vector>

#include "analysis/law.h"
#include "analysis/plan.h"

namespace scalelaw::analysis {

/// A study whose truth is L = E + A·N^−α + B·D^−β with C = 6·N·D, every run with noise of ln L.
struct PlanTrial {
  const char* name = "";
  /// `chinchilla`, or `power-floor`: runs at the best size of their budget only.
  const char* form = "chinchilla";
  int sizes = 4;
  int budgets = 5;
  double budget_ratio = 3;
  int seeds = 2;
  double noise = 0.01;
  /// The prediction: the best size at so many times the largest budget.
  double extrapolation = 10;
  /// To spend, in multiples of what the study has cost.
  double spend = 1;
  /// Candidates go so far beyond the largest budget.
  double reach = 3;

  double loss(double params, double samples) const;
  double best_params(double flops) const;
  double largest_budget() const;
  FitOptions fit_options() const;
  std::map<std::string, double> target() const;
  /// Where the study's runs are, without values.
  std::vector<Observation> design() const;
  std::vector<Candidate> candidates() const;
};

/// Means over laws, each fitted to a study of its own.
struct PlanOutcome {
  /// Half widths of the curve's 95 % interval at the target: as the plan says, and 1.96 standard deviations of the
  /// law's prediction over simulated studies.
  double promised_before = 0, promised_after = 0;
  double before = 0, after = 0;
  /// With the same FLOPs spent on the study's own runs again, and on one of each candidate in turn.
  double again = 0, even = 0;
  double runs = 0;
};

PlanOutcome try_plan(const PlanTrial& trial, int laws, int studies);

}  // namespace scalelaw::analysis
