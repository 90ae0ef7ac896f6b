#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <utility>

#include "analysis/law.h"
#include "tests/analysis/fixtures.h"

namespace scalelaw::analysis {
namespace {

FitOptions quick(std::string form) {
  FitOptions options;
  options.form = std::move(form);
  options.bootstrap = 0;
  return options;
}

TEST(Fit, RecoversAPowerLawExactly) {
  const auto law = fit(curve_study(5, 3, [](double c) { return 400 * std::pow(c, -0.21); }), quick("power"));
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(parameter(*law, "a"), 400, 1e-5);
  EXPECT_NEAR(parameter(*law, "b"), -0.21, 1e-9);
  EXPECT_NEAR(law->pearson_log, -1, 1e-12);
  EXPECT_NEAR(law->r2, 1, 1e-12);
}

TEST(Fit, RecoversAFloorExactly) {
  const auto law = fit(curve_study(6, 3, [](double c) { return 0.8 + 400 * std::pow(c, -0.3); }), quick("power-floor"));
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(parameter(*law, "E"), 0.8, 1e-6);
  EXPECT_NEAR(parameter(*law, "a"), 400, 1e-2);
  EXPECT_NEAR(parameter(*law, "b"), 0.3, 1e-6);
}

TEST(Fit, RecoversTheVarFormInItsOwnUnits) {
  // Tian et al. 2024: L_last = (2.0·N)^−0.23, N in billions.
  const auto law = fit(curve_study(6, 3, [](double n) { return std::pow(2.0 * n / 1e9, -0.23); }), quick("var-power"));
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(parameter(*law, "beta"), 2.0e-9, 1e-15);
  EXPECT_NEAR(parameter(*law, "alpha"), -0.23, 1e-9);
}

TEST(Fit, RecoversABoundedScore) {
  FitOptions options = quick("bounded");
  options.chance = 0.37;
  options.ceiling = 0.96;
  const auto law =
      fit(curve_study(9, 2.5, [](double c) { return 0.96 - 0.59 * std::pow(1 + std::pow(c / 1e11, 0.7 / 0.5), -0.5); }),
          options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(parameter(*law, "x0") / 1e11, 1, 1e-4);
  EXPECT_NEAR(parameter(*law, "b"), 0.7, 1e-5);
  EXPECT_NEAR(parameter(*law, "s"), 0.5, 1e-4);
}

// The reference values below: scipy's BFGS from 135 starts, then Nelder–Mead, on the same objective.
TEST(Chinchilla, HuberOnLogResidualsReachesTheReferenceOptimum) {
  const auto runs = chinchilla_runs();
  ASSERT_EQ(runs.size(), 234u);
  const auto law = fit(runs, quick("chinchilla"));
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_EQ(law->objective.kind, "huber");
  EXPECT_EQ(law->objective.residual, "log");
  EXPECT_EQ(law->objective.delta, 1e-3);
  EXPECT_NEAR(law->objective.value, 0.00084009311995742, 1e-15);
  EXPECT_NEAR(parameter(*law, "E"), 1.783894, 1e-5);
  EXPECT_NEAR(parameter(*law, "A"), 442.164, 5e-3);
  EXPECT_NEAR(parameter(*law, "B"), 1271.808, 3e-2);
  EXPECT_NEAR(parameter(*law, "alpha"), 0.342626, 1e-6);
  EXPECT_NEAR(parameter(*law, "beta"), 0.342002, 1e-6);
}

TEST(Chinchilla, LeastSquaresReachTheReferenceOptima) {
  FitOptions options = quick("chinchilla");
  options.objective = "l2";
  const auto logs = fit(chinchilla_runs(), options);
  ASSERT_TRUE(logs.ok()) << logs.status();
  EXPECT_NEAR(logs->objective.value, 0.0035052886883897, 1e-14);
  EXPECT_NEAR(parameter(*logs, "alpha"), 0.3512613, 1e-6);
  EXPECT_NEAR(parameter(*logs, "beta"), 0.3440615, 1e-6);
  options.residual = "raw";
  const auto raw = fit(chinchilla_runs(), options);
  ASSERT_TRUE(raw.ok()) << raw.status();
  EXPECT_NEAR(raw->objective.value, 0.0231714470439661, 1e-13);
  EXPECT_NEAR(parameter(*raw, "E"), 1.809112, 1e-5);
  EXPECT_NEAR(parameter(*raw, "beta"), 0.3587641, 1e-6);
}

TEST(Chinchilla, LeastAbsoluteDeviationIsNoWorseThanAnyOtherFit) {
  const auto absolute_deviation = [](const Law& law) {
    double sum = 0;
    for (const Point& p : law.points) sum += std::abs(std::log(evaluate(law, p.x) / p.value));
    return sum;
  };
  const auto huber = fit(chinchilla_runs(), quick("chinchilla"));
  FitOptions options = quick("chinchilla");
  options.objective = "lad";
  const auto lad = fit(chinchilla_runs(), options);
  ASSERT_TRUE(lad.ok() && huber.ok());
  EXPECT_NEAR(lad->objective.value, absolute_deviation(*lad), 1e-9);
  EXPECT_LT(lad->objective.value, absolute_deviation(*huber));
}

TEST(Fit, TakesTheBestSizeOfEveryBudgetForALawOfCompute) {
  StudyBuilder study;
  for (int b = 0; b < 5; ++b) {
    const double flops = 1e10 * std::pow(3, b), best = 2 * std::pow(flops, -0.05);
    study.add(flops, 1e4, best * 1.2).add(flops, 1e5, best * 0.99, 1).add(flops, 1e5, best * 1.01, 2);
    study.add(flops, 1e6, best * 1.3);
  }
  const auto law = fit(study.observations(), quick("power"));
  ASSERT_TRUE(law.ok()) << law.status();
  ASSERT_EQ(law->points.size(), 5u);
  EXPECT_EQ(law->points[0].runs, (std::vector<std::string>{"2", "3"}));
  EXPECT_NEAR(parameter(*law, "b"), -0.05, 1e-9);
}

TEST(Fit, IsTheSameForAnyNumberOfThreads) {
  const auto observations = curve_study(
      6, 2.5, [](double c) { return 0.5 + 90 * std::pow(c, -0.2); }, 0.01);
  FitOptions options = quick("power-floor");
  options.bootstrap = 200;
  options.threads = 1;
  const auto one = fit(observations, options);
  options.threads = 7;
  const auto seven = fit(observations, options);
  ASSERT_TRUE(one.ok() && seven.ok());
  EXPECT_EQ(to_json(*one), to_json(*seven));

  options.form = "chinchilla";
  options.bootstrap = 20;
  const auto pairs_seven = fit(chinchilla_runs(), options);
  options.threads = 1;
  const auto pairs_one = fit(chinchilla_runs(), options);
  ASSERT_TRUE(pairs_one.ok() && pairs_seven.ok());
  EXPECT_EQ(to_json(*pairs_one), to_json(*pairs_seven));
}

TEST(Fit, AFloorThatThePointsDoNotShowIsNotIdentified) {
  FitOptions options = quick("power-floor");
  options.bootstrap = 200;
  const auto law = fit(curve_study(
                           5, 2.5, [](double c) { return 90 * std::pow(c, -0.2); }, 0.02),
                       options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_EQ(law->parameters[0].name, "E");
  EXPECT_FALSE(law->parameters[0].identified);
  EXPECT_EQ(law->parameters[0].ci95_low, 0);
}

TEST(Fit, ALawMayBeOfAnyColumnThatTheObservationsHave) {
  auto observations = curve_study(6, 3, [](double c) { return 90 * std::pow(c, -0.2); });
  for (Observation& o : observations) o.columns["seen"] = std::exchange(o.flops, 0);
  FitOptions options = quick("power");
  options.x = {"seen"};
  const auto law = fit(observations, options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(parameter(*law, "b"), -0.2, 1e-9);
  EXPECT_EQ(law->ranges[0].column, "seen");
}

TEST(Fit, ARowOfNoWeightHasNoSay) {
  auto observations = curve_study(6, 3, [](double c) { return 90 * std::pow(c, -0.2); });
  observations[2].value *= 2;
  observations[2].weight = 0;
  const auto law = fit(observations, quick("power"));
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(parameter(*law, "b"), -0.2, 1e-9);
}

struct Refusal {
  std::string what;
  FitOptions options;
  std::vector<Observation> observations;
  absl::StatusCode code;
  std::string says;
};

std::vector<Refusal> refusals() {
  const auto good = curve_study(6, 3, [](double c) { return 90 * std::pow(c, -0.2); });
  std::vector<Refusal> result;
  const auto add = [&](std::string what, absl::StatusCode code, std::string says) -> Refusal& {
    return result.emplace_back(Refusal{std::move(what), quick("power"), good, code, std::move(says)});
  };
  using enum absl::StatusCode;
  add("TooFewPoints", kFailedPrecondition, "too few points: 2").observations.resize(2);
  add("NoObservations", kFailedPrecondition, "no observations").observations.clear();
  add("UnknownForm", kInvalidArgument, "known forms: power, power-floor").options.form = "expo";
  add("UnknownColumn", kInvalidArgument, "columns: flops, params, samples").options.x = {"tokens"};
  add("TooManyColumns", kInvalidArgument, "law of 1 column").options.x = {"params", "samples"};
  add("UnknownObjective", kInvalidArgument, "known: l2, huber, lad").options.objective = "l1";
  add("UnknownResidual", kInvalidArgument, "known: raw, log").options.residual = "relative";
  add("ZeroValue", kInvalidArgument, "run 3: loss must be positive").observations[2].value = 0;
  add("NanValue", kInvalidArgument, "run 3").observations[2].value = std::nan("");
  add("NegativeFlops", kInvalidArgument, "run 1: flops must be positive").observations[0].flops = -1;
  Refusal& constant = add("ConstantColumn", kFailedPrecondition, "every point has params = 100000");
  constant.options.x = {"params"};
  constant.options.points = "all";
  Refusal& outside = add("ScoreOutsideItsBounds", kInvalidArgument, "far outside its bounds [0.1, 0.2]");
  outside.options.form = "bounded";
  outside.options.chance = 0.1;
  outside.options.ceiling = 0.2;
  add("BoundedWithoutBounds", kInvalidArgument, "needs the score's chance and ceiling").options.form = "bounded";
  Refusal& beyond = add("NothingWithinTheFlops", kFailedPrecondition, "min_flops, max_flops: none of the 6");
  beyond.options.max_flops = 1;
  return result;
}

class Refused : public testing::TestWithParam<Refusal> {};

TEST_P(Refused, NamesTheFieldAndTheFix) {
  const auto law = fit(GetParam().observations, GetParam().options);
  ASSERT_FALSE(law.ok());
  EXPECT_EQ(law.status().code(), GetParam().code) << law.status();
  EXPECT_NE(std::string(law.status().message()).find(GetParam().says), std::string::npos) << law.status();
}

INSTANTIATE_TEST_SUITE_P(Fit, Refused, testing::ValuesIn(refusals()),
                         [](const auto& param_info) { return param_info.param.what; });

TEST(Fit, DefaultFormIsAFloorForALossAndBoundedForAScore) {
  FitOptions options = quick("");
  const auto falling = curve_study(6, 3, [](double c) { return 0.1 + 90 * std::pow(c, -0.2); });
  EXPECT_EQ(fit(falling, options)->form, "power-floor");
  const auto three = fit({falling.begin(), falling.begin() + 3}, options);
  ASSERT_TRUE(three.ok()) << three.status();
  EXPECT_EQ(three->form, "power");
  EXPECT_NE(three->warnings[0].find("cannot carry a floor"), std::string::npos);
  const auto rising = curve_study(6, 3, [](double c) { return 0.2 * std::pow(c, 0.04); });
  EXPECT_EQ(fit(rising, options)->form, "power");
  options.chance = 0.1;
  options.ceiling = 1;
  EXPECT_EQ(fit(rising, options)->form, "bounded");
}

TEST(Observation, TokensPerParamFollowFromWhatIsThere) {
  Observation run;
  run.params = 100;
  run.samples = 2000;
  EXPECT_EQ(column_value(run, "tokens_per_param"), 20);
  run.columns["tokens_per_param"] = 19;
  EXPECT_EQ(column_value(run, "tokens_per_param"), 19) << "what was given counts";
  EXPECT_TRUE(std::isnan(column_value(Observation(), "tokens_per_param")));
}

TEST(Fit, TellsHowManyDrawsAreDone) {
  for (const char* resample : {"pairs", "model"}) {
    FitOptions options;
    options.form = "chinchilla";
    options.bootstrap = 120;
    options.resample = resample;
    options.threads = 2;
    std::mutex mutex;
    std::set<int> told;
    options.progress = [&](int draws) {
      const std::lock_guard lock(mutex);
      told.insert(draws);
    };
    ASSERT_TRUE(fit(chinchilla_runs(), options).ok());
    EXPECT_EQ(*told.rbegin(), 120) << resample;
    EXPECT_GT(told.size(), 1u);
  }
}

}  // namespace
}  // namespace scalelaw::analysis
