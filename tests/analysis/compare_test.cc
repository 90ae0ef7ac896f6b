#include "analysis/compare.h"

#include <gtest/gtest.h>

#include <cmath>

#include "analysis/random.h"
#include "tests/analysis/laws.h"

namespace scalelaw::analysis {
namespace {

Law curve(double floor, double a, double b, const std::vector<std::vector<double>>& draws = {}) {
  return known_law("power-floor", {"flops"}, {{"E", floor}, {"a", a}, {"b", b}}, {{1e10, 1e14}}, draws);
}

std::string message(const absl::StatusOr<Comparison>& result) {
  return std::string(result.status().message());
}

TEST(Compare, ARecipeThatTakesThreeTimesTheComputeHasAMultiplierOfThreeEverywhere) {
  // L_B(3·C) = L_A(C).
  CompareOptions options;
  options.at = {1e11, 1e13, 1e20};
  const auto c = compare(curve(0.5, 90, 0.2), curve(0.5, 90 * std::pow(3, 0.2), 0.2), options);
  ASSERT_TRUE(c.ok()) << c.status();
  ASSERT_EQ(c->at.size(), 3u);
  for (const ComparedAt& at : c->at) EXPECT_NEAR(at.multiplier.value, 3, 1e-8);
  EXPECT_TRUE(c->at[0].inside);
  EXPECT_FALSE(c->at[2].inside);
  EXPECT_TRUE(c->crossings.empty());
  EXPECT_EQ(c->column, "flops");
  // By default at the largest compute that both reach; there B's counterpart lies outside.
  const auto by_default = compare(curve(0.5, 90, 0.2), curve(0.5, 90 * std::pow(3, 0.2), 0.2), {});
  EXPECT_EQ(by_default->at.at(0).at, 1e14);
  EXPECT_FALSE(by_default->at[0].inside);
}

TEST(Compare, SurfacesMeetAtTheirOwnOptima) {
  // Data worth a seventh: B·7^β in place of B. Along the frontier that is exactly a seventh of the compute, as
  // L* − E is proportional to A^(β/(α+β))·B^(α/(α+β))·C^(−αβ/(α+β)).
  const Law a = hoffmann_law();
  Law b = a;
  b.parameters[2].value *= std::pow(7, 0.2849);
  CompareOptions options;
  options.at = {1e20, 1e23};
  const auto c = compare(a, b, options);
  ASSERT_TRUE(c.ok()) << c.status();
  for (const ComparedAt& at : c->at) EXPECT_NEAR(at.multiplier.value, 7, 1e-6);
  EXPECT_EQ(c->column, "flops");
  const auto back = compare(b, a, options);
  for (const ComparedAt& at : back->at) EXPECT_NEAR(at.multiplier.value, 1.0 / 7, 1e-7);
}

TEST(Compare, AFloorAboveTheOthersValueIsOutOfReach) {
  const std::vector<double> high = {0.6, 90, 0.2}, low = {0.4, 90, 0.2};
  const Law a = curve(0.5, 90, 0.2, {{0.5, 90, 0.2}, {0.5, 90, 0.2}, {0.5, 90, 0.2}, {0.5, 90, 0.2}});
  CompareOptions options;
  options.at = {1e16};
  // A reaches 0.557 there.
  const auto some = compare(a, curve(0.5, 90, 0.2, {high, low, low, low}), options);
  ASSERT_TRUE(some.ok());
  EXPECT_EQ(some->at[0].unreachable, 0.25);
  EXPECT_TRUE(std::isinf(some->at[0].multiplier.high95));
  EXPECT_NEAR(some->at[0].multiplier.value, 1, 1e-8);
  EXPECT_LT(some->at[0].multiplier.low95, 1);
  const auto none = compare(a, curve(0.6, 90, 0.2), options);
  EXPECT_TRUE(std::isinf(none->at[0].multiplier.value));
  EXPECT_TRUE(std::any_of(none->warnings.begin(), none->warnings.end(),
                          [](const std::string& w) { return w.find("never reaches") != std::string::npos; }));
}

TEST(Compare, FindsWhereCurvesCross) {
  const Law steep = known_law("power", {"flops"}, {{"a", 1000}, {"b", -0.3}}, {{1e8, 1e12}});
  const Law slow = known_law("power", {"flops"}, {{"a", 50}, {"b", -0.15}}, {{1e8, 1e12}});
  const auto c = compare(steep, slow, {});
  ASSERT_TRUE(c.ok()) << c.status();
  ASSERT_EQ(c->crossings.size(), 1u);
  const double expected = std::pow(1000.0 / 50, 1 / 0.15);
  EXPECT_NEAR(c->crossings[0].at.value / expected, 1, 1e-8);
  EXPECT_TRUE(c->crossings[0].a_better_beyond);
  EXPECT_TRUE(c->crossings[0].inside);
}

TEST(Compare, AScoreIsBetterWhereItIsHigher) {
  const auto score = [](double a) {
    Law law = known_law("power", {"flops"}, {{"a", a}, {"b", 0.05}}, {{1e10, 1e14}}, {{a, 0.05}});
    law.metric = "alignment";
    return law;
  };
  const auto c = compare(score(0.2), score(0.2 / std::pow(2, 0.05)), {});
  ASSERT_TRUE(c.ok());
  EXPECT_NEAR(c->at[0].multiplier.value, 2, 1e-8);
  EXPECT_EQ(c->at[0].a_better, 1);
}

TEST(Compare, DrawsOfOneSeedAreIndependentUnlessTheyArePaired) {
  std::vector<std::vector<double>> draws;
  Random random(5, 0);
  for (int d = 0; d < 400; ++d) draws.push_back({0.5, 90 * std::exp(0.02 * random.normal()), 0.2});
  const Law law = curve(0.5, 90, 0.2, draws);
  CompareOptions options;
  const auto apart = compare(law, law, options);
  options.paired = true;
  const auto together = compare(law, law, options);
  ASSERT_TRUE(apart.ok() && together.ok());
  EXPECT_NEAR(together->at[0].multiplier.low95, 1, 1e-8);
  EXPECT_NEAR(together->at[0].multiplier.high95, 1, 1e-8);
  // ln m = (ln a_B − ln a_A)/b: standard deviation 0.02·√2/0.2.
  EXPECT_NEAR(std::log(apart->at[0].multiplier.high95), 1.96 * 0.02 * std::sqrt(2) / 0.2, 0.05);
}

TEST(Compare, ErrorsNameTheLawAndTheField) {
  Law other = curve(0.5, 90, 0.2);
  other.metric = "accuracy";
  EXPECT_NE(message(compare(curve(0.5, 90, 0.2), other, {})).find("metric"), std::string::npos);
  Law of_params = curve(0.5, 90, 0.2);
  of_params.x = {"params"};
  EXPECT_NE(message(compare(curve(0.5, 90, 0.2), of_params, {})).find("'flops' and 'params'"), std::string::npos);
  CompareOptions bad;
  bad.at = {-1};
  EXPECT_NE(message(compare(curve(0.5, 90, 0.2), curve(0.5, 90, 0.2), bad)).find("at: "), std::string::npos);
  Law unknown = hoffmann_law();
  unknown.x = {"width", "depth"};
  EXPECT_NE(message(compare(curve(0.5, 90, 0.2), unknown, {})).find("b: at: give a value for 'width'"),
            std::string::npos);
}

/// Two recipes over the same sizes, budgets and seeds; B's data are worth half of A's. What a run draws by its seed it
/// mostly shares with its counterpart.
std::vector<Observation> recipe(double data_worth, double own_noise, std::uint64_t stream) {
  std::vector<Observation> result;
  for (int b = 0; b < 5; ++b)
    for (int s = 0; s < 5; ++s)
      for (int seed = 0; seed < 2; ++seed) {
        Observation o;
        o.flops = o.budget_flops = 1e17 * std::pow(4, b);
        o.params = 3e7 * std::pow(2.5, s);
        o.samples = o.flops / (6 * o.params);
        o.seed = seed;
        o.run = std::to_string(result.size());
        Random shared(1, result.size()), own(stream, result.size());
        const double loss =
            1.69 + 406.4 * std::pow(o.params, -0.3392) + 410.7 * std::pow(o.samples * data_worth, -0.2849);
        o.value = loss * std::exp(0.01 * shared.normal() + own_noise * own.normal());
        result.push_back(std::move(o));
      }
  return result;
}

TEST(FitPaired, CancelsWhatSeedsDoToBothRecipes) {
  FitOptions options;
  options.form = "chinchilla";
  options.objective = "l2";
  options.bootstrap = 200;
  const std::vector<Observation> a = recipe(1, 0.001, 11), b = recipe(0.5, 0.001, 12);
  const auto together = fit_paired(a, options, b, options);
  ASSERT_TRUE(together.ok()) << together.status();
  EXPECT_TRUE(together->paired) << together->reason;
  EXPECT_EQ(together->common_runs, 50);
  CompareOptions paired, apart;
  paired.paired = true;
  paired.at = apart.at = {1e19};
  const Estimate m = compare(together->a, together->b, paired)->at[0].multiplier;
  const Estimate wide = compare(together->a, together->b, apart)->at[0].multiplier;
  EXPECT_LT(m.low95, 2);
  EXPECT_GT(m.high95, 2);
  EXPECT_LT(std::log(m.high95 / m.low95), std::log(wide.high95 / wide.low95) / 3);
}

TEST(FitPaired, SaysWhyDrawsDoNotGoTogether) {
  FitOptions options;
  options.form = "chinchilla";
  options.bootstrap = 20;
  const std::vector<Observation> a = recipe(1, 0.001, 11);
  std::vector<Observation> b = recipe(0.5, 0.001, 12);
  for (Observation& o : b) o.seed += 10;
  const auto apart = fit_paired(a, options, b, options);
  ASSERT_TRUE(apart.ok());
  EXPECT_FALSE(apart->paired);
  EXPECT_NE(apart->reason.find("0 runs in common"), std::string::npos);
  FitOptions of_frontier;
  of_frontier.bootstrap = 20;
  const auto frontier = fit_paired(a, of_frontier, a, of_frontier);
  ASSERT_TRUE(frontier.ok()) << frontier.status();
  EXPECT_NE(frontier->reason.find("frontier"), std::string::npos);
  b.clear();
  EXPECT_EQ(std::string(fit_paired(a, options, b, options).status().message()).substr(0, 3), "b: ");
}

}  // namespace
}  // namespace scalelaw::analysis
