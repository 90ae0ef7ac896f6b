// How often intervals hold the truth. Usage: coverage [WHAT [STUDIES [THREADS]]]
//
//   parameters   studies drawn from each form: its parameters by every kind of interval, new runs at 4 and 10 times
//                the largest x
//   ladders      frontiers of simulated isoFLOP ladders, whose truth no form has exactly: a new run at 4 and 10 times
//                the largest budget
//   a form       as parameters, of this form alone
//   CSV          a file of C, N, D, loss as tests/analysis/data/chinchilla.csv: the largest runs left out
//
// Without arguments: parameters and ladders, 500 studies each. Rates outside 93–97 % are marked.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "bench/analysis/known_truth.h"
#include "bench/analysis/left_out.h"
#include "bench/analysis/simulated_study.h"

namespace {

using namespace scalelaw::analysis;

constexpr int kDraws = 400;

std::string rate(double share, int studies) {
  // Two standard errors of a rate measured on so many studies are allowed for.
  const double slack = 2 * std::sqrt(0.95 * 0.05 / studies);
  return fmt::format("{:5.1f}{}", 100 * share, share < 0.93 - slack || share > 0.97 + slack ? "*" : " ");
}

void parameters(const std::string& form, int studies, int threads) {
  const std::vector<double> hoffmann = {1.69, 406.4, 410.7, 0.34, 0.28};
  const KnownTruth cases[] = {
      {.name = "8 points", .form = "power", .parameters = {400, -0.21}, .axes = {axis(1e10, 1e13, 8)}},
      {.name = "40 points (pairs)", .form = "power", .parameters = {400, -0.21}, .axes = {axis(1e10, 1e13, 40)}},
      {.name = "8 points", .form = "var-power", .parameters = {2e-9, -0.23}, .axes = {axis(1e10, 1e13, 8)}},
      {.name = "8 points", .form = "power-floor", .parameters = {0.5, 2e4, 0.4}, .axes = {axis(1e10, 1e13, 8)}},
      {.name = "40 points (pairs)",
       .form = "power-floor",
       .parameters = {0.5, 2e4, 0.4},
       .axes = {axis(1e10, 1e13, 40)}},
      {.name = "10 points",
       .form = "bounded",
       .parameters = {1e11, 0.8, 0.5},
       .axes = {axis(1e10, 1e13, 10)},
       .noise = 0.02,
       .score = true},
      {.name = "5 × 5, l2",
       .form = "chinchilla",
       .parameters = hoffmann,
       .axes = {axis(1e7, 1e10, 5), axis(1e9, 1e12, 5)},
       .objective = "l2"},
      {.name = "7 × 7, l2 (pairs)",
       .form = "chinchilla",
       .parameters = hoffmann,
       .axes = {axis(1e7, 1e10, 7), axis(1e9, 1e12, 7)},
       .objective = "l2"},
      {.name = "7 × 7, huber (pairs)",
       .form = "chinchilla",
       .parameters = hoffmann,
       .axes = {axis(1e7, 1e10, 7), axis(1e9, 1e12, 7)}},
  };
  fmt::print("\nParameters, and new runs at 4 and 10 × the largest x (in 95 %, in 50 %); {} studies each, in %.\n",
             studies);
  for (const KnownTruth& study : cases) {
    if (!form.empty() && form != study.form) continue;
    const KnownTruthCoverage c = measure_known_truth(study, studies, kDraws, threads);
    fmt::print("\n{}, {}{}\n", study.form, study.name, c.refused ? fmt::format(" ({} refused)", c.refused) : "");
    for (const auto& [intervals, rates] : c.parameters) {
      fmt::print("  {:11}", intervals);
      for (double share : rates) fmt::print(" {}", rate(share, studies));
      fmt::print("\n");
    }
    fmt::print("  prediction ");
    for (const auto& [factor, share] : c.prediction95)
      fmt::print(" {:.0f} ×: {} {:5.1f}", factor, rate(share, studies), 100 * c.prediction50.at(factor));
    fmt::print("   warned {:.0f}\n", 100 * c.warned);
    std::fflush(stdout);
  }
}

void ladders(int studies, int threads) {
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
  fmt::print("\nFrontiers of ladders: a new run beyond the largest budget; {} studies each.\n\n", studies);
  fmt::print("{:28} {:12} {:>6} {:>8} {:>8} {:>10} {:>8} {:>7}\n", "study", "form", "beyond", "in 50 %", "in 95 %",
             "width 95 %", "error", "warned");
  for (SimulatedStudy study : cases)
    for (double factor : {4.0, 10.0}) {
      study.extrapolation = factor;
      const Coverage c = measure_coverage(study, studies, kDraws, threads);
      fmt::print("{:28} {:12} {:5.0f}× {:7.1f}% {:>7}% {:9.1f}% {:7.2f}% {:6.0f}%{}\n", study.name,
                 study.form.empty() ? "(default)" : study.form, factor, 100 * c.inside50, rate(c.inside95, studies),
                 100 * c.width95, 100 * c.error, 100 * c.warned,
                 c.refused ? fmt::format("  ({} refused)", c.refused) : "");
      std::fflush(stdout);
    }
}

std::vector<Observation> read(const std::string& path) {
  std::ifstream file(path);
  std::vector<Observation> result;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    Observation o;
    char comma;
    fields >> o.flops >> comma >> o.params >> comma >> o.samples >> comma >> o.value;
    o.run = std::to_string(result.size());
    result.push_back(std::move(o));
  }
  return result;
}

int left_out(const std::string& path, int threads) {
  const std::vector<Observation> runs = read(path);
  if (runs.empty()) {
    fmt::print(stderr, "{}: no runs\n", path);
    return 1;
  }
  fmt::print("\nThe largest of {} published runs left out: fitted below C_max/k, predicted above.\n\n", runs.size());
  fmt::print("{:12} {:6} {:>4} {:>7} {:>9} {:>8} {:>8} {:>8}\n", "form", "", "k", "fitted", "held out", "in 50 %",
             "in 95 %", "bias");
  for (const char* objective : {"huber", "l2"}) {
    FitOptions options;
    options.form = "chinchilla";
    options.objective = objective;
    options.threads = threads;
    for (const LeftOut& row : leave_out_largest(runs, options, {3, 10, 30, 100}))
      fmt::print("{:12} {:6} {:4.0f} {:7} {:9} {:7.1f}% {:7.1f}% {:7.2f}%\n", options.form, objective, row.k,
                 row.fitted, row.held_out, 100 * row.inside50, 100 * row.inside95, 100 * row.bias);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const int studies = argc > 2 ? std::atoi(argv[2]) : 500;
  const int threads = argc > 3 ? std::atoi(argv[3]) : 0;
  const std::vector<std::string> forms = form_names();
  const bool form = std::find(forms.begin(), forms.end(), what) != forms.end();
  const bool simulated = what.empty() || what == "parameters" || what == "ladders" || form;
  if (!simulated) return left_out(what, threads);
  if (what != "ladders") parameters(form ? what : "", studies, threads);
  if (what.empty() || what == "ladders") ladders(studies, threads);
}
