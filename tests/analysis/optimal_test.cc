#include "analysis/optimal.h"

#include <gtest/gtest.h>

#include <cmath>

#include "analysis/random.h"
#include "tests/analysis/fixtures.h"
#include "tests/analysis/laws.h"

namespace scalelaw::analysis {
namespace {

struct Known {
  double E, A, B, alpha, beta;
  double loss(double n, double d) const { return E + A * std::pow(n, -alpha) + B * std::pow(d, -beta); }
  /// Hoffmann et al. 2022, eq. 4, for C = c·N^e·D.
  double best_params(double flops, double c = 6, double e = 1) const {
    return std::pow(alpha * A / (e * beta * B) * std::pow(flops / c, beta), 1 / (alpha + e * beta));
  }
};
constexpr Known kHoffmann{1.69, 406.4, 410.7, 0.3392, 0.2849};

/// 200 laws near Hoffmann's, as a bootstrap would draw them.
Law with_draws() {
  Law law = hoffmann_law();
  Random random(3, 0);
  for (int d = 0; d < 200; ++d)
    law.draws.push_back(
        {{1.69 + 0.02 * random.normal(), 406.4 * std::exp(0.1 * random.normal()),
          410.7 * std::exp(0.1 * random.normal()), 0.3392 + 0.005 * random.normal(), 0.2849 + 0.005 * random.normal()},
         0.01});
  return law;
}

OptimalOptions budget(double flops) {
  OptimalOptions options;
  options.flops = flops;
  return options;
}

std::string message(const absl::StatusOr<Optimal>& result) {
  return std::string(result.status().message());
}

TEST(Optimal, OfHoffmannsSurfaceIsTheClosedForm) {
  for (double flops : {1e17, 5.76e23, 1e27}) {
    OptimalOptions options = budget(flops);
    options.batch = 1e6;
    const auto best = optimal(hoffmann_law(), options);
    ASSERT_TRUE(best.ok()) << best.status();
    const double n = kHoffmann.best_params(flops), d = flops / (6 * n);
    EXPECT_NEAR(best->params.value / n, 1, 1e-8);
    EXPECT_NEAR(best->samples.value / d, 1, 1e-8);
    EXPECT_NEAR(best->steps.value, d / 1e6, 1e-8 * d / 1e6);
    EXPECT_NEAR(best->value.value, kHoffmann.loss(n, d), 1e-12);
    EXPECT_NEAR(best->params_exponent.value, 0.2849 / (0.3392 + 0.2849), 1e-6);
    EXPECT_NEAR(best->samples_exponent.value, 0.3392 / (0.3392 + 0.2849), 1e-6);
    EXPECT_EQ(best->limit, Limit::kNone);
    EXPECT_NEAR(best->training_flops, flops, 1e-6 * flops);
    EXPECT_EQ(best->serving_flops, 0);
  }
}

TEST(Optimal, AgreesWithTheClosedFormForAnotherCostOfTraining) {
  OptimalOptions options = budget(1e20);
  options.surface.cost = {30, 0.9};
  const auto best = optimal(hoffmann_law(), options);
  ASSERT_TRUE(best.ok());
  const double n = kHoffmann.best_params(1e20, 30, 0.9);
  EXPECT_NEAR(best->params.value / n, 1, 1e-8);
  EXPECT_NEAR(best->samples.value / (1e20 / (30 * std::pow(n, 0.9))), 1, 1e-8);
  EXPECT_NEAR(best->params_exponent.value, 0.2849 / (0.3392 + 0.9 * 0.2849), 1e-6);
}

TEST(Optimal, IsTheSameInWhateverColumnsTheLawIsWritten) {
  // L = E + A·N^−α + B·D^−β with A' = A and D = C/(6N): the same numbers from (params, samples) named N and D.
  Law named = hoffmann_law();
  named.x = {"size", "data"};
  named.ranges[0].column = "size";
  named.ranges[1].column = "data";
  OptimalOptions options = budget(1e21);
  options.surface.columns = {{"size", "params"}, {"data", "samples"}};
  const auto best = optimal(named, options);
  ASSERT_TRUE(best.ok()) << best.status();
  EXPECT_NEAR(best->params.value / kHoffmann.best_params(1e21), 1, 1e-8);
  EXPECT_NE(message(optimal(named, budget(1e21))).find("give a value for 'size'"), std::string::npos);

  // Of (params, flops): E + A·N^−α + B·C^−β has no interior optimum, as size then costs nothing.
  Law of_compute = hoffmann_law();
  of_compute.x = {"params", "flops"};
  of_compute.ranges[1].column = "flops";
  EXPECT_NE(message(optimal(of_compute, budget(1e21))).find("larger models"), std::string::npos);
}

TEST(Optimal, TheIntervalsAreThoseOfTheDraws) {
  const Law law = with_draws();
  const auto best = optimal(law, budget(1e22));
  ASSERT_TRUE(best.ok());
  std::vector<double> sizes, exponents;
  for (const Draw& draw : law.draws) {
    const Known known{draw.parameters[0], draw.parameters[1], draw.parameters[2], draw.parameters[3],
                      draw.parameters[4]};
    sizes.push_back(known.best_params(1e22));
    exponents.push_back(known.beta / (known.alpha + known.beta));
  }
  const Estimate n = summarise(0, sizes), a = summarise(0, exponents);
  EXPECT_NEAR(best->params.low95 / n.low95, 1, 1e-7);
  EXPECT_NEAR(best->params.high95 / n.high95, 1, 1e-7);
  EXPECT_NEAR(best->params_exponent.low95, a.low95, 1e-6);
  EXPECT_NEAR(best->params_exponent.high95, a.high95, 1e-6);
  EXPECT_LT(best->value.low95, best->value.value);
  EXPECT_GT(best->value.high95, best->value.value);
  EXPECT_EQ(best->without_optimum, 0);
  // The recommended size costs nothing by the law, and something by laws that the points allow as well.
  EXPECT_NEAR(best->overhead.value, 0, 1e-9);
  EXPECT_GT(best->overhead.high95, 1e-4);
}

TEST(Optimal, DrawsWithoutABestSizeMakeTheIntervalUnboundedAndAreCounted) {
  Law law = with_draws();
  for (int d = 0; d < 20; ++d) law.draws[d].parameters[2] = 0;
  const auto best = optimal(law, budget(1e22));
  ASSERT_TRUE(best.ok());
  EXPECT_NEAR(best->without_optimum, 0.1, 1e-12);
  EXPECT_TRUE(std::isinf(best->params.high95));
  EXPECT_EQ(best->samples.low95, 0);
  EXPECT_TRUE(std::isfinite(best->params.low95));
  EXPECT_NE(best->warnings.back().find("10 % of the draws"), std::string::npos);
}

TEST(Optimal, TheOverheadOfAnotherSizeIsTheComputeThatItTakesToCatchUp) {
  const auto best = optimal(hoffmann_law(), budget(1e22));
  ASSERT_TRUE(best.ok());
  ASSERT_EQ(best->off.size(), 4u);
  const double n = kHoffmann.best_params(1e22);
  const double least = kHoffmann.loss(n, 1e22 / (6 * n));
  for (const OffOptimum& off : best->off) {
    EXPECT_NEAR(off.value, kHoffmann.loss(off.factor * n, 1e22 / (6 * off.factor * n)), 1e-10);
    EXPECT_GT(off.value, best->value.value);
    // B·D^−β is what the loss leaves to data at this size.
    const double rest = least - kHoffmann.E - kHoffmann.A * std::pow(off.factor * n, -kHoffmann.alpha);
    const double samples = std::pow(rest / kHoffmann.B, -1 / kHoffmann.beta);
    EXPECT_NEAR(off.overhead.value, 6 * off.factor * n * samples / 1e22 - 1, 1e-7);
  }
  // Both ends of the tolerated sizes take 1 % more.
  for (double size : {best->params_low, best->params_high})
    EXPECT_NEAR(kHoffmann.loss(size, 1.01e22 / (6 * size)), least, 1e-10);
  EXPECT_LT(best->params_low, n);
  EXPECT_GT(best->params_high, n);
}

TEST(Optimal, ASizeTooSmallToEverCatchUpHasAnInfiniteOverhead) {
  OptimalOptions options = budget(1e22);
  options.off_factors = {0.01};
  const auto best = optimal(hoffmann_law(), options);
  ASSERT_TRUE(best.ok());
  EXPECT_TRUE(std::isinf(best->off[0].overhead.value));
}

TEST(Optimal, ATargetIsReachedWithTheLeastCompute) {
  const double n = kHoffmann.best_params(3e21);
  OptimalOptions options;
  options.target = kHoffmann.loss(n, 3e21 / (6 * n));
  const auto best = optimal(hoffmann_law(), options);
  ASSERT_TRUE(best.ok()) << best.status();
  EXPECT_NEAR(best->flops.value / 3e21, 1, 1e-8);
  EXPECT_NEAR(best->params.value / n, 1, 1e-7);
  EXPECT_NEAR(best->value.value, *options.target, 1e-11);
  options.target = 1.68;
  EXPECT_NE(message(optimal(hoffmann_law(), options)).find("beyond what the law reaches"), std::string::npos);
}

// Sardana et al. 2023, eq. 3: min 6·N·D + 2·N·D_inf subject to L(N, D) = target, by brute force over N.
TEST(Optimal, ForServedSamplesIsTheLeastOfTrainingAndServingTogether) {
  const double target = 2.1, served = 2e12;
  OptimalOptions options;
  options.target = target;
  options.spending.served_samples = served;
  const auto best = optimal(hoffmann_law(), options);
  ASSERT_TRUE(best.ok()) << best.status();
  double least = HUGE_VAL, least_params = 0;
  for (double u = std::log(1e8); u < std::log(1e12); u += 1e-4) {
    const double n = std::exp(u);
    const double rest = target - kHoffmann.E - kHoffmann.A * std::pow(n, -kHoffmann.alpha);
    if (rest <= 0) continue;
    const double total = 6 * n * std::pow(rest / kHoffmann.B, -1 / kHoffmann.beta) + 2 * n * served;
    if (total < least) {
      least = total;
      least_params = n;
    }
  }
  EXPECT_NEAR(best->flops.value / least, 1, 1e-7);
  EXPECT_NEAR(best->params.value / least_params, 1, 2e-4);
  EXPECT_NEAR(best->training_flops + best->serving_flops, best->flops.value, 1e-6 * best->flops.value);
  EXPECT_NEAR(best->serving_flops, 2 * best->params.value * served, 1e-6 * best->serving_flops);
  // Equal loss per FLOP at the margin: αA·N^−α/(6D + 2·D_inf) = βB·D^−β/(6D).
  const double n = best->params.value, d = best->samples.value;
  const double by_size = kHoffmann.alpha * kHoffmann.A * std::pow(n, -kHoffmann.alpha) / (6 * d + 2 * served);
  const double by_data = kHoffmann.beta * kHoffmann.B * std::pow(d, -kHoffmann.beta) / (6 * d);
  EXPECT_NEAR(by_size / by_data, 1, 1e-6);

  // The dual: the same budget buys the same loss.
  OptimalOptions dual = budget(best->flops.value);
  dual.spending.served_samples = served;
  const auto bought = optimal(hoffmann_law(), dual);
  ASSERT_TRUE(bought.ok());
  EXPECT_NEAR(bought->value.value, target, 1e-10);
  EXPECT_NEAR(bought->params.value / best->params.value, 1, 1e-6);

  // Served by the thousand, a smaller model on more data.
  options.spending.served_samples = 0;
  EXPECT_LT(best->params.value, optimal(hoffmann_law(), options)->params.value);
}

TEST(Optimal, PassesOfADiffusionModelMultiplyTheServing) {
  OptimalOptions once = budget(1e22), often = budget(1e22);
  once.spending.served_samples = 40e9;
  often.spending.served_samples = 1e9;
  often.spending.passes_per_served_sample = 40;
  EXPECT_EQ(optimal(hoffmann_law(), once)->params.value, optimal(hoffmann_law(), often)->params.value);
}

TEST(Optimal, ALimitOfDataPutsTheRestIntoSize) {
  OptimalOptions options = budget(1e22);
  const double free_samples = optimal(hoffmann_law(), options)->samples.value;
  options.spending.max_samples = free_samples / 3;
  const auto best = optimal(hoffmann_law(), options);
  ASSERT_TRUE(best.ok());
  EXPECT_EQ(best->limit, Limit::kMaxSamples);
  EXPECT_NEAR(best->samples.value / (free_samples / 3), 1, 1e-12);
  EXPECT_NEAR(best->params.value / (1e22 / (6 * free_samples / 3)), 1, 1e-12);
  EXPECT_TRUE(std::isnan(best->params_exponent.value));
  // A limit that does not bind changes nothing.
  options.spending.max_samples = free_samples * 3;
  EXPECT_EQ(optimal(hoffmann_law(), options)->limit, Limit::kNone);
  EXPECT_NEAR(optimal(hoffmann_law(), options)->samples.value / free_samples, 1, 1e-8);
}

TEST(Optimal, ALimitOfSizePutsTheRestIntoData) {
  OptimalOptions options = budget(1e22);
  options.spending.max_params = 1e9;
  const auto best = optimal(hoffmann_law(), options);
  ASSERT_TRUE(best.ok());
  EXPECT_EQ(best->limit, Limit::kMaxParams);
  EXPECT_NEAR(best->params.value, 1e9, 1);
  EXPECT_NEAR(best->samples.value / (1e22 / 6e9), 1, 1e-9);
  options.spending.max_params = HUGE_VAL;
  options.spending.min_params = 1e11;
  EXPECT_EQ(optimal(hoffmann_law(), options)->limit, Limit::kMinParams);
}

TEST(Optimal, OfAListIsTheBestThatTheBudgetPaysFor) {
  const double n = kHoffmann.best_params(1e22);
  OptimalOptions options = budget(1e22);
  options.sizes = {{"small", n / 10}, {"medium", n / 1.3}, {"large", n * 3}, {"slow", n, 600 * n}};
  const auto best = optimal(with_draws(), options);
  ASSERT_TRUE(best.ok()) << best.status();
  EXPECT_EQ(best->params.value, n / 1.3);
  ASSERT_EQ(best->sizes.size(), 4u);
  double shares = 0;
  for (const SizeChoice& choice : best->sizes) {
    const double per_sample = choice.size.flops_per_sample > 0 ? choice.size.flops_per_sample : 6 * choice.size.params;
    EXPECT_NEAR(choice.samples.value, 1e22 / per_sample, 1e-9 * choice.samples.value);
    EXPECT_NEAR(choice.value.value, kHoffmann.loss(choice.size.params, 1e22 / per_sample), 1e-12);
    shares += choice.best_share;
  }
  EXPECT_NEAR(shares, 1, 1e-12);
  EXPECT_GT(best->sizes[1].best_share, 0.9);
  EXPECT_EQ(best->sizes[3].best_share, 0);

  options.flops.reset();
  options.target = kHoffmann.loss(n / 1.3, 1e22 / (6 * n / 1.3));
  const auto cheapest = optimal(with_draws(), options);
  ASSERT_TRUE(cheapest.ok());
  EXPECT_EQ(cheapest->params.value, n / 1.3);
  EXPECT_NEAR(cheapest->flops.value / 1e22, 1, 1e-8);
}

TEST(Optimal, OfAScoreIsItsMaximum) {
  // A score that rises with both: −L.
  Law law = hoffmann_law();
  law.metric = "alignment";
  for (Parameter& p : law.parameters)
    if (p.name == "A" || p.name == "B") p.value = -p.value;
  const auto best = optimal(law, budget(1e22));
  ASSERT_TRUE(best.ok()) << best.status();
  EXPECT_NEAR(best->params.value / kHoffmann.best_params(1e22), 1, 1e-8);
  EXPECT_LT(best->off[0].value, best->value.value);
}

TEST(Optimal, OfTheFittedChinchillaRunsIsInsideItsInterval) {
  FitOptions fit_options;
  fit_options.form = "chinchilla";
  fit_options.bootstrap = 200;
  const Law law = *fit(chinchilla_runs(), fit_options);
  const auto best = optimal(law, budget(5.76e23));
  ASSERT_TRUE(best.ok()) << best.status();
  // Besiroglu et al. 2024, section 4: about 20 tokens per parameter at Chinchilla's compute.
  EXPECT_NEAR(best->samples.value / best->params.value, 20, 10);
  EXPECT_LT(best->params.low95, best->params.value);
  EXPECT_GT(best->params.high95, best->params.value);
  EXPECT_NEAR(best->params_exponent.value, 0.51, 0.03);
}

TEST(Optimal, ErrorsNameTheFieldAndTheFix) {
  const Law law = hoffmann_law();
  EXPECT_NE(message(optimal(law, {})).find("flops, target: give one"), std::string::npos);
  EXPECT_NE(message(optimal(law, budget(-1))).find("flops: must be positive"), std::string::npos);
  const Law curve = known_law("power-floor", {"flops"}, {{"E", 1}, {"a", 10}, {"b", 0.2}}, {{1e10, 1e14}});
  EXPECT_NE(message(optimal(curve, budget(1e15))).find("does not tell size from data"), std::string::npos);
  Law flat = law;
  flat.parameters[1].value = 0;
  const auto none = optimal(flat, budget(1e20));
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(message(none).find("smaller models (A = 0)"), std::string::npos) << message(none);
  OptimalOptions served = budget(1e15);
  served.spending.served_samples = 1e20;
  EXPECT_FALSE(optimal(law, served).ok());
  OptimalOptions sized = budget(10);
  sized.sizes = {{"a", 1e9}};
  sized.spending.served_samples = 1;
  EXPECT_NE(message(optimal(law, sized)).find("do not pay for any"), std::string::npos) << message(optimal(law, sized));
  OptimalOptions bad = budget(1e20);
  bad.surface.cost.factor = 0;
  EXPECT_NE(message(optimal(law, bad)).find("cost.factor"), std::string::npos);
  bad = budget(1e20);
  bad.surface.columns = {{"tokens", "samples"}};
  EXPECT_NE(message(optimal(law, bad)).find("no column 'tokens'"), std::string::npos);
}

TEST(TrainingCost, IsFittedToMeasuredFlops) {
  std::vector<Observation> runs(3);
  for (int i = 0; i < 3; ++i) {
    runs[i].params = 1e5 * std::pow(4, i);
    runs[i].samples = 1e6 * (i + 1);
    runs[i].flops = 25 * std::pow(runs[i].params, 0.8) * runs[i].samples;
  }
  const auto cost = fit_training_cost(runs);
  ASSERT_TRUE(cost.ok());
  EXPECT_NEAR(cost->exponent, 0.8, 1e-12);
  EXPECT_NEAR(cost->factor, 25, 1e-9);
  runs.resize(1);
  EXPECT_EQ(fit_training_cost(runs).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace scalelaw::analysis
