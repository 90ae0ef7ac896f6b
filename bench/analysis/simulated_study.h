// Studies whose truth is known: what the coverage of intervals is measured on.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "analysis/law.h"
#include "analysis/random.h"

namespace scalelaw::analysis {

/// A study as the main job runs it: sizes × budgets, seeds of the small ones, and one new run far beyond them.
struct SimulatedStudy {
  std::string name;
  std::string form;
  /// Sizes double from 1e5 parameters; budgets grow by `budget_ratio` from 1e11 FLOPs.
  int sizes = 4;
  int budgets = 5;
  double budget_ratio = 2.4;
  int seeds = 2;
  /// Budgets that have `seeds`; the larger ones have one.
  int seeded_budgets = 3;
  /// Standard deviation of one run: of ln loss, or of a score half way between its bounds.
  double noise = 0.01;
  double extrapolation = 4;
  /// Score: its bounds, and the share missing at a loss (see `truth`).
  bool score = false;

  double largest_budget() const { return 1e11 * std::pow(budget_ratio, budgets - 1); }

  /// L = E + A·N^−α + B·D^−β with FLOPs = 6·N·D, so that the best sizes lie among those tried.
  double loss(double params, double flops) const {
    const double samples = flops / (6 * params);
    return 0.25 + 22 * std::pow(params, -0.38) + 19 * std::pow(samples, -0.38);
  }
  /// Without noise. A score is a falling sigmoid of the loss between chance and the ceiling (Gadre et al. 2024 use an
  /// exponential, others a sigmoid): no form that is fitted has exactly this shape.
  double truth(double params, double flops) const {
    const double l = loss(params, flops);
    return score ? kChance + (kCeiling - kChance) / (1 + std::exp((l - 0.6) / 0.06)) : l;
  }
  double measure(double params, double flops, Random& random) const {
    const double mean = truth(params, flops);
    if (!score) return mean * std::exp(noise * random.normal());
    // Answers are right or wrong: the scatter of their mean is widest half way between the bounds.
    const double share = (mean - kChance) / (kCeiling - kChance);
    return mean + noise * (0.2 + 0.8 * std::sqrt(4 * share * (1 - share))) * random.normal();
  }
  std::vector<Observation> run(Random& random) const {
    std::vector<Observation> result;
    for (int b = 0; b < budgets; ++b)
      for (int s = 0; s < sizes; ++s)
        for (int seed = 0; seed < (b < seeded_budgets ? seeds : 1); ++seed) {
          const double flops = 1e11 * std::pow(budget_ratio, b), params = 1e5 * std::pow(2, s);
          Observation o;
          o.run = std::to_string(result.size());
          o.params = params;
          o.samples = flops / (6 * params);
          o.flops = o.budget_flops = flops;
          o.value = measure(params, flops, random);
          o.seed = seed;
          result.push_back(std::move(o));
        }
    return result;
  }
  /// The best of sizes that double, at the new budget.
  double best_params(double flops) const {
    double best = 1e5;
    for (double params = 1e5; params < 1e8; params *= 2)
      if (loss(params, flops) < loss(best, flops)) best = params;
    return best;
  }

  static constexpr double kChance = 0.37;
  static constexpr double kCeiling = 0.96;
};

struct Coverage {
  int studies = 0;
  int refused = 0;
  double inside50 = 0;
  double inside95 = 0;
  /// Median width of the 95 % interval, as a share of the truth.
  double width95 = 0;
  /// Median of |prediction/truth − 1|.
  double error = 0;
  /// Share of studies whose law carries any warning.
  double warned = 0;
};

/// Simulates, fits, predicts the new run, measures it; shares over the studies that could be fitted.
Coverage measure_coverage(const SimulatedStudy& study, int studies, int bootstrap, int threads);

}  // namespace scalelaw::analysis
