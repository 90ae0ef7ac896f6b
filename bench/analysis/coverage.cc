// How often prediction intervals hold the new run, over studies whose truth is known. Usage: coverage [STUDIES]
#include <fmt/format.h>

#include <cstdlib>

#include "bench/analysis/simulated_study.h"

int main(int argc, char** argv) {
  using scalelaw::analysis::SimulatedStudy;
  const int studies = argc > 1 ? std::atoi(argv[1]) : 500;
  const SimulatedStudy cases[] = {
      {.name = "loss, 5 budgets", .form = "power-floor"},
      {.name = "loss, 5 budgets, one seed", .form = "power-floor", .seeds = 1},
      {.name = "loss, 8 budgets", .form = "power-floor", .budgets = 8, .budget_ratio = 1.7},
      {.name = "loss, 4 budgets", .form = "power-floor", .budgets = 4, .budget_ratio = 3.2},
      {.name = "loss, low noise", .form = "power-floor", .noise = 0.003},
      {.name = "loss, no floor in the form", .form = "power"},
      {.name = "loss, default form", .form = ""},
      {.name = "score, 5 budgets", .form = "bounded", .noise = 0.02, .score = true},
      {.name = "score, 5 budgets, one seed", .form = "bounded", .seeds = 1, .noise = 0.02, .score = true},
      {.name = "score, 8 budgets", .form = "bounded", .budgets = 8, .budget_ratio = 1.7, .noise = 0.02, .score = true},
      {.name = "score, low noise", .form = "bounded", .noise = 0.007, .score = true},
  };
  fmt::print("New run at 4 × the largest budget; {} studies each. Wanted: 45–55 % and 93–97 %.\n\n", studies);
  fmt::print("{:32} {:12} {:>8} {:>8} {:>10} {:>8}\n", "study", "form", "in 50 %", "in 95 %", "width 95 %", "error");
  for (const SimulatedStudy& study : cases) {
    const auto c = scalelaw::analysis::measure_coverage(study, studies, 400, 0);
    fmt::print("{:32} {:12} {:7.1f}% {:7.1f}% {:9.1f}% {:7.2f}%{}\n", study.name,
               study.form.empty() ? "(default)" : study.form, 100 * c.inside50, 100 * c.inside95, 100 * c.width95,
               100 * c.error, c.refused ? fmt::format("  ({} refused)", c.refused) : "");
  }
}
