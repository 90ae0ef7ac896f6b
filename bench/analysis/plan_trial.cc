#include "bench/analysis/plan_trial.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "analysis/parallel.h"
#include "analysis/random.h"

namespace scalelaw::analysis {
namespace {

constexpr double kSmallestBudget = 1e11;

Observation run_at(double params, double flops) {
  Observation o;
  o.params = params;
  o.flops = o.budget_flops = flops;
  o.samples = flops / (6 * params);
  return o;
}

/// The study measured anew, with noise of its own.
std::vector<Observation> measured(const PlanTrial& trial, std::vector<Observation> runs, std::uint64_t study) {
  Random random(99, study);
  for (size_t i = 0; i < runs.size(); ++i) {
    runs[i].run = std::to_string(i);
    runs[i].value = trial.loss(runs[i].params, runs[i].samples) * std::exp(trial.noise * random.normal());
  }
  return runs;
}

/// 1.96 standard deviations of the predictions at the target, by robust scale: half of the central 68 %.
double simulated_half_width(const PlanTrial& trial, const std::vector<Observation>& runs, int studies) {
  FitOptions options = trial.fit_options();
  options.bootstrap = 0;
  std::vector<double> x;
  for (const std::string& column : options.x) x.push_back(trial.target().at(column));
  std::vector<double> predicted(studies);
  parallel_for(studies, 0, [&](int study) {
    const auto law = fit(measured(trial, runs, static_cast<std::uint64_t>(study)), options);
    predicted[study] = law.ok() ? evaluate(*law, x) : std::nan("");
  });
  std::erase_if(predicted, [](double p) { return std::isnan(p); });
  std::sort(predicted.begin(), predicted.end());
  const auto at = [&](double q) {
    return predicted[static_cast<size_t>(q * static_cast<double>(predicted.size() - 1))];
  };
  return 1.96 * (at(0.8413) - at(0.1587)) / 2;
}

Observation run_of(const PlanTrial& trial, const Candidate& candidate) {
  const auto params = candidate.at.find("params");
  return run_at(params != candidate.at.end() ? params->second : trial.best_params(candidate.flops), candidate.flops);
}

/// `runs`, and of the others one after the other, over and over, until no more can be afforded.
std::vector<Observation> spend_evenly(std::vector<Observation> runs, const std::vector<Observation>& others,
                                      double flops) {
  for (bool any = true; any;) {
    any = false;
    for (const Observation& o : others)
      if (o.flops <= flops) {
        flops -= o.flops;
        runs.push_back(o);
        any = true;
      }
  }
  return runs;
}

}  // namespace

double PlanTrial::loss(double params, double samples) const {
  return 0.25 + 22 * std::pow(params, -0.38) + 19 * std::pow(samples, -0.34);
}

double PlanTrial::best_params(double flops) const {
  return std::pow(0.38 * 22 / (0.34 * 19) * std::pow(flops / 6, 0.34), 1 / (0.38 + 0.34));
}

double PlanTrial::largest_budget() const {
  return kSmallestBudget * std::pow(budget_ratio, budgets - 1);
}

FitOptions PlanTrial::fit_options() const {
  FitOptions options;
  options.form = form;
  options.objective = "l2";
  options.points = "all";
  options.x = std::string(form) == "chinchilla" ? std::vector<std::string>{"params", "samples"}
                                                : std::vector<std::string>{"flops"};
  return options;
}

std::map<std::string, double> PlanTrial::target() const {
  const double flops = extrapolation * largest_budget(), params = best_params(flops);
  if (std::string(form) == "chinchilla") return {{"params", params}, {"samples", flops / (6 * params)}};
  return {{"flops", flops}};
}

std::vector<Observation> PlanTrial::design() const {
  std::vector<Observation> runs;
  for (int b = 0; b < budgets; ++b)
    for (int s = 0; s < sizes; ++s)
      for (int seed = 0; seed < seeds; ++seed) {
        const double flops = kSmallestBudget * std::pow(budget_ratio, b);
        const bool surface = std::string(form) == "chinchilla";
        // Sizes that double, about the best one.
        const double factor = surface ? std::pow(2, s - (sizes - 1) / 2.0) : 1;
        runs.push_back(run_at(best_params(flops) * factor, flops));
        runs.back().seed = seed;
        if (!surface) s = sizes;
      }
  return runs;
}

std::vector<Candidate> PlanTrial::candidates() const {
  std::vector<double> levels;
  for (double flops = kSmallestBudget; flops <= 1.01 * reach * largest_budget(); flops *= std::sqrt(budget_ratio))
    levels.push_back(flops);
  std::vector<Candidate> result;
  for (double flops : levels) {
    if (std::string(form) != "chinchilla") {
      result.push_back({{{"flops", flops}}, flops, 5, ""});
      continue;
    }
    for (double factor : {0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0}) {
      const double params = best_params(flops) * factor;
      result.push_back({{{"params", params}, {"samples", flops / (6 * params)}}, flops, 3, ""});
    }
  }
  return result;
}

PlanOutcome try_plan(const PlanTrial& trial, int laws, int studies) {
  const std::vector<Observation> runs = trial.design();
  PlanOptions options;
  options.at = trial.target();
  for (const Observation& o : runs) options.flops += trial.spend * o.flops;
  options.candidates = trial.candidates();
  std::vector<Observation> of_candidates;
  for (const Candidate& candidate : options.candidates) of_candidates.push_back(run_of(trial, candidate));

  PlanOutcome outcome;
  outcome.before = simulated_half_width(trial, runs, studies);
  outcome.again = simulated_half_width(trial, spend_evenly(runs, runs, options.flops), studies);
  outcome.even = simulated_half_width(trial, spend_evenly(runs, of_candidates, options.flops), studies);
  FitOptions fit_options = trial.fit_options();
  fit_options.bootstrap = 1000;
  for (int l = 0; l < laws; ++l) {
    const Law law = *fit(measured(trial, runs, static_cast<std::uint64_t>(1'000'000 + l)), fit_options);
    const Plan planned = *plan(law, runs, options);
    std::vector<Observation> with_plan = runs;
    for (const PlannedRun& run : planned.runs) with_plan.push_back(of_candidates[run.candidate]);
    outcome.promised_before += planned.before.curve / laws;
    outcome.promised_after += planned.after.curve / laws;
    outcome.after += simulated_half_width(trial, with_plan, studies) / laws;
    outcome.runs += static_cast<double>(planned.runs.size()) / laws;
  }
  return outcome;
}

}  // namespace scalelaw::analysis
