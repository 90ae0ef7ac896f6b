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

void print_parameters(const char* label, const std::vector<double>& shares, int studies, bool mark) {
  fmt::print("  {:12}", label);
  for (double share : shares) {
    if (std::isnan(share))
      fmt::print("  {:>9}", "held");
    else
      fmt::print("  {:>9}", mark ? rate(share, studies) : fmt::format("{:.0f} ", 100 * share));
  }
  fmt::print("\n");
}

void parameters(const std::string& form, int studies, int threads) {
  fmt::print("\nParameters, and new runs at 4 and 10 × the largest x (in 95 %, in 50 %); {} studies each, in %.\n",
             studies);
  for (const KnownTruth& study : known_truths()) {
    if (!form.empty() && form != study.form) continue;
    const KnownTruthCoverage c = measure_known_truth(study, studies, kDraws, threads);
    fmt::print("\n{}, {}{}\n  {:12}", study.form, study.name, c.refused ? fmt::format(" ({} refused)", c.refused) : "",
               "");
    for (const std::string& name : c.names) fmt::print("  {:>8} ", name);
    fmt::print("\n");
    for (const char* intervals : {"percentile", "bca", "profile"}) {
      if (!c.parameters.contains(intervals)) continue;
      print_parameters(intervals, c.parameters.at(intervals), studies, true);
      const std::vector<double>& unidentified = c.unidentified.at(intervals);
      if (std::any_of(unidentified.begin(), unidentified.end(), [](double share) { return share > 0; }))
        print_parameters("  unbounded", unidentified, studies, false);
    }
    fmt::print("  new run   ");
    for (const auto& [factor, share] : c.prediction95)
      fmt::print(" {:.0f} ×: {} {:5.1f}", factor, rate(share, studies), 100 * c.prediction50.at(factor));
    fmt::print("\n");
    for (const auto& [warning, share] : c.warned) fmt::print("  warned {:3.0f}: {}\n", 100 * share, warning);
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
  const std::vector<KnownTruth> known = known_truths();
  const bool form =
      std::any_of(known.begin(), known.end(), [&](const KnownTruth& study) { return study.form == what; });
  const bool simulated = what.empty() || what == "parameters" || what == "ladders" || form;
  if (!simulated) return left_out(what, threads);
  if (what != "ladders") parameters(form ? what : "", studies, threads);
  if (what.empty() || what == "ladders") ladders(studies, threads);
}
