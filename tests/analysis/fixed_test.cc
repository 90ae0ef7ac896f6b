#include <gtest/gtest.h>

#include "analysis/law.h"
#include "tests/analysis/fixtures.h"

namespace scalelaw::analysis {
namespace {

FitOptions chinchilla() {
  FitOptions options;
  options.form = "chinchilla";
  options.bootstrap = 0;
  return options;
}

const Parameter& described(const Law& law, const std::string& name) {
  return *std::find_if(law.parameters.begin(), law.parameters.end(), [&](const auto& p) { return p.name == name; });
}

TEST(Fixed, AtItsOptimumAParameterLeavesTheOthersWhereTheyWere) {
  const auto free = fit(chinchilla_runs(), chinchilla());
  ASSERT_TRUE(free.ok());
  for (const Parameter& held : free->parameters) {
    FitOptions options = chinchilla();
    options.fixed[held.name] = held.value;
    const auto law = fit(chinchilla_runs(), options);
    ASSERT_TRUE(law.ok()) << law.status();
    EXPECT_NEAR(law->objective.value, free->objective.value, 1e-12) << held.name;
    EXPECT_EQ(parameter(*law, held.name), held.value);
    for (const Parameter& p : free->parameters)
      EXPECT_NEAR(parameter(*law, p.name) / p.value, 1, 1e-4) << p.name << " with " << held.name << " held";
  }
}

TEST(Fixed, ElsewhereTheOthersMakeTheBestOfIt) {
  FitOptions options = chinchilla();
  options.fixed = {{"A", 406.4}, {"beta", 0.28}};
  const auto law = fit(chinchilla_runs(), options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_EQ(parameter(*law, "A"), 406.4);
  EXPECT_EQ(parameter(*law, "beta"), 0.28);
  for (const char* name : {"E", "B", "alpha"})
    for (double factor : {0.999, 1.001}) {
      Law moved = *law;
      for (Parameter& p : moved.parameters)
        if (p.name == name) p.value *= factor;
      double objective = 0;
      for (const Point& p : moved.points) {
        const double r = std::abs(std::log(evaluate(moved, p.x) / p.value));
        objective += r > 1e-3 ? 1e-3 * (r - 5e-4) : r * r / 2;
      }
      EXPECT_GT(objective, law->objective.value) << name;
    }
}

TEST(Fixed, EveryParameterMayBeFixedToEvaluateAPublishedLaw) {
  FitOptions options = chinchilla();
  options.fixed = {{"E", 1.69}, {"A", 406.4}, {"B", 410.7}, {"alpha", 0.34}, {"beta", 0.28}};
  const auto law = fit(chinchilla_runs(), options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(evaluate(*law, {1e9, 2e10}), 1.69 + 406.4 * std::pow(1e9, -0.34) + 410.7 * std::pow(2e10, -0.28), 1e-12);
  EXPECT_GT(law->objective.value, fit(chinchilla_runs(), chinchilla())->objective.value);
}

TEST(Fixed, IsSaidOfTheParameterAndKeptInTheDocument) {
  FitOptions options = chinchilla();
  options.fixed["E"] = 1.8;
  options.bootstrap = 20;
  const auto law = fit(chinchilla_runs(), options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_TRUE(described(*law, "E").fixed);
  EXPECT_TRUE(described(*law, "E").identified);
  EXPECT_EQ(described(*law, "E").ci95_low, 1.8);
  EXPECT_EQ(described(*law, "E").ci95_high, 1.8);
  EXPECT_FALSE(described(*law, "A").fixed);
  EXPECT_LT(described(*law, "A").ci95_low, described(*law, "A").ci95_high);
  const auto read = from_json(to_json(*law));
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(described(*read, "E").fixed);
  EXPECT_FALSE(described(*read, "A").fixed);
}

TEST(Fixed, AnUnknownParameterListsTheKnownOnes) {
  FitOptions options = chinchilla();
  options.fixed["gamma"] = 1;
  const auto law = fit(chinchilla_runs(), options);
  EXPECT_EQ(law.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(law.status().message()).find("no parameter 'gamma'; its parameters: E, A, B, alpha, beta"),
            std::string::npos);
}

TEST(HuberScale, PutsDeltaAtSoManyStandardDeviationsOfTheNoise) {
  // 200 runs with noise of 2 %: MAD knows σ to about 1/√(n) · 1.17.
  const auto runs = curve_study(
      200, 1.05, [](double c) { return 0.5 + 90 * std::pow(c, -0.2); }, 0.02);
  FitOptions options;
  options.form = "power-floor";
  options.objective = "huber";
  options.points = "all";
  options.bootstrap = 0;
  options.huber_scale = 1.345;
  const auto law = fit(runs, options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_NEAR(law->objective.delta, 1.345 * 0.02, 1.345 * 0.005);
  options.huber_scale = 2.69;
  EXPECT_NEAR(fit(runs, options)->objective.delta, 2 * law->objective.delta, 1e-15);
}

TEST(HuberScale, IsRefusedBesideADeltaAndForAnotherObjective) {
  FitOptions options = chinchilla();
  options.huber_scale = 1;
  options.huber_delta = 1e-3;
  EXPECT_NE(std::string(fit(chinchilla_runs(), options).status().message()).find("huber_scale"), std::string::npos);
  options.huber_delta.reset();
  options.objective = "l2";
  EXPECT_NE(std::string(fit(chinchilla_runs(), options).status().message()).find("huber_scale"), std::string::npos);
}

}  // namespace
}  // namespace scalelaw::analysis
