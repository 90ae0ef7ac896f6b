// Whether a plan narrows the interval as it promises, and more than the same FLOPs spent otherwise.
// Usage: plan_gain [STUDIES [LAWS]]
#include <fmt/format.h>

#include <cstdlib>

#include "bench/analysis/plan_trial.h"

int main(int argc, char** argv) {
  using scalelaw::analysis::PlanTrial;
  const int studies = argc > 1 ? std::atoi(argv[1]) : 400;
  const PlanTrial trials[] = {
      {.name = "surface, 40 runs"},
      {.name = "surface, 16 runs", .budgets = 4, .seeds = 1},
      {.name = "surface, half the FLOPs again", .spend = 0.5},
      {.name = "surface, three times", .spend = 3},
      {.name = "surface, no larger budgets", .reach = 1},
      {.name = "surface, at 100 times", .extrapolation = 100},
      {.name = "curve, 12 runs", .form = "power-floor", .budgets = 6},
      {.name = "curve, 36 runs", .form = "power-floor", .budgets = 12, .budget_ratio = 1.7, .seeds = 3},
  };
  const int laws = argc > 2 ? std::atoi(argv[2]) : 10;
  fmt::print(
      "Half widths of the curve's 95 % interval at the target: promised by plans from {} laws, and true, over "
      "{} simulated studies.\nagain: the same FLOPs for the study's own runs; even: for every candidate in "
      "turn.\n\n",
      laws, studies);
  fmt::print("{:32} {:>18} {:>24} {:>9} {:>9}\n", "", "before", "after the plan", "again", "even");
  fmt::print("{:32} {:>9}{:>9} {:>9}{:>9}{:>6} {:>9} {:>9}\n", "study", "promised", "true", "promised", "true", "runs",
             "true", "true");
  for (const PlanTrial& trial : trials) {
    const auto o = try_plan(trial, laws, studies);
    fmt::print("{:32} {:9.5f}{:9.5f} {:9.5f}{:9.5f}{:6.0f} {:9.5f} {:9.5f}\n", trial.name, o.promised_before, o.before,
               o.promised_after, o.after, o.runs, o.again, o.even);
  }
}
