#include "analysis/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/analysis/fixtures.h"

namespace scalelaw::analysis {
namespace {

FitOptions form(std::string name, std::string objective = "") {
  FitOptions options;
  options.form = std::move(name);
  options.objective = std::move(objective);
  return options;
}

double floor_curve(double c) {
  return 0.8 + 400 * std::pow(c, -0.3);
}

TEST(Selection, PrefersTheFormThatHoldsBeyondTheFit) {
  const auto study = curve_study(12, 2.5, floor_curve, 0.003);
  const auto selection = select_form(study, {form("power"), form("power-floor")});
  ASSERT_TRUE(selection.ok()) << selection.status();
  const RankedForm &best = selection->ranking[0], &worst = selection->ranking[1];
  EXPECT_EQ(best.form, "power-floor");
  EXPECT_EQ(best.candidate, 1);
  EXPECT_TRUE(best.survives);
  EXPECT_EQ(worst.form, "power");
  EXPECT_FALSE(worst.survives);
  EXPECT_GT(worst.excess, 2 * worst.excess_se);
  // Without a floor it falls for ever.
  EXPECT_LT(worst.bias, -0.02);
  EXPECT_EQ(best.weight, 1);
  EXPECT_EQ(worst.weight, 0);
}

TEST(Selection, ErrorsAreThoseOfFitsToTheRunsBelowTheCut) {
  const auto study = curve_study(10, 2, floor_curve, 0.01);
  SelectionOptions options;
  options.factors = {10};
  options.bootstrap = 0;
  const auto selection = select_form(study, {form("power")}, options);
  ASSERT_TRUE(selection.ok()) << selection.status();
  ASSERT_EQ(selection->splits.size(), 1u);
  // 2⁹/10 = 51.2: runs 0 … 5 (2⁵ = 32) are fitted.
  EXPECT_EQ(selection->splits[0].fitted, 6);
  EXPECT_EQ(selection->splits[0].held_out, 4);
  FitOptions below = form("power");
  below.bootstrap = 0;
  const auto law = fit({study.begin(), study.begin() + 6}, below);
  ASSERT_TRUE(law.ok());
  double error = 0, bias = 0;
  for (int i = 6; i < 10; ++i) {
    const double e = std::log(evaluate(*law, {study[i].flops}) / study[i].value);
    error += std::abs(e) / 4;
    bias += e / 4;
  }
  const RankedForm& ranked = selection->ranking[0];
  EXPECT_NEAR(ranked.error, error, 1e-12);
  EXPECT_NEAR(ranked.bias, bias, 1e-12);
  ASSERT_EQ(ranked.held_out.size(), 4u);
  EXPECT_NEAR(ranked.held_out[3].factor, 16, 1e-9);
  EXPECT_TRUE(std::isnan(ranked.weight));
  EXPECT_FALSE(ranked.held_out[0].covered95.has_value());
  // By factor: 2 lies in [1, 3), 4 and 8 in [3, 10), 16 in [10, 30).
  ASSERT_EQ(ranked.by_factor.size(), 3u);
  EXPECT_EQ(ranked.by_factor[1].count, 2);
  EXPECT_NEAR(ranked.by_factor[1].error,
              (std::abs(ranked.held_out[1].log_error) + std::abs(ranked.held_out[2].log_error)) / 2, 1e-12);
}

TEST(Selection, CutsAsFarAsTheDataReach) {
  SelectionOptions options;
  options.bootstrap = 0;
  // Eight runs over a factor 78: nothing lies below C_max/100.
  const auto selection = select_form(curve_study(8, 1.864, floor_curve), {form("power")}, options);
  ASSERT_TRUE(selection.ok()) << selection.status();
  ASSERT_EQ(selection->splits.size(), 3u);
  EXPECT_EQ(selection->splits[2].k, 30);
  ASSERT_EQ(selection->skipped.size(), 1u);
  EXPECT_NE(selection->skipped[0].find("k = 100"), std::string::npos);
  // Below C_max/30 lie fewer runs than a power law needs: the ranking rests on the others.
  EXPECT_NE(selection->ranking[0].failures[2].find("too few points"), std::string::npos);
  EXPECT_TRUE(std::isfinite(selection->ranking[0].error));
}

TEST(Selection, RanksSurfacesByCompute) {
  SelectionOptions options;
  options.bootstrap = 60;
  const auto selection =
      select_form(chinchilla_runs(), {form("chinchilla"), form("chinchilla", "l2"), form("power-floor")}, options);
  ASSERT_TRUE(selection.ok()) << selection.status();
  EXPECT_EQ(selection->by, "flops");
  EXPECT_EQ(selection->splits.size(), 4u);
  // A law of compute alone is judged by the frontier, and so are all.
  for (const RankedForm& ranked : selection->ranking) {
    EXPECT_EQ(ranked.held_out.size(), selection->ranking[0].held_out.size());
    EXPECT_LT(ranked.error, 0.05);
  }
  double weights = 0;
  for (const RankedForm& ranked : selection->ranking) {
    EXPECT_GE(ranked.weight, 0);
    EXPECT_TRUE(ranked.survives || ranked.weight == 0);
    weights += ranked.weight;
  }
  EXPECT_NEAR(weights, 1, 1e-9);
}

TEST(Selection, FormsThatPredictTheSameShareTheStack) {
  // var-power is power written otherwise.
  const auto study = curve_study(
      9, 3, [](double c) { return 400 * std::pow(c, -0.21); }, 0.01);
  const auto selection = select_form(study, {form("power"), form("var-power")});
  ASSERT_TRUE(selection.ok()) << selection.status();
  EXPECT_NEAR(selection->ranking[0].error, selection->ranking[1].error, 1e-6);
  EXPECT_TRUE(selection->ranking[1].survives);
  EXPECT_NEAR(selection->ranking[0].weight, 0.5, 0.1);
  EXPECT_NEAR(selection->ranking[0].weight + selection->ranking[1].weight, 1, 1e-9);
}

TEST(Selection, ExtrapolatesInTheLawsOwnColumnWhereThereIsNoCompute) {
  auto study = curve_study(10, 2.5, floor_curve, 0.003);
  for (Observation& o : study) o.columns["seen"] = std::exchange(o.flops, 0);
  FitOptions of_seen = form("power-floor");
  of_seen.x = {"seen"};
  of_seen.points = "all";
  SelectionOptions options;
  options.bootstrap = 0;
  const auto selection = select_form(study, {of_seen}, options);
  ASSERT_TRUE(selection.ok()) << selection.status();
  EXPECT_EQ(selection->by, "seen");
  EXPECT_LT(selection->ranking[0].error, 0.03);
}

TEST(Stack, IsTheBestFormWithTheOthersInItsIntervals) {
  const auto study = curve_study(
      9, 3, [](double c) { return 400 * std::pow(c, -0.21); }, 0.01);
  std::vector<FitOptions> candidates = {form("power"), form("power-floor")};
  for (FitOptions& candidate : candidates) candidate.bootstrap = 400;
  auto selection = select_form(study, candidates);
  ASSERT_TRUE(selection.ok()) << selection.status();
  for (RankedForm& ranked : selection->ranking) ranked.weight = ranked.form == "power" ? 0.75 : 0.25;
  const auto stack = fit_stack(study, candidates, *selection);
  ASSERT_TRUE(stack.ok()) << stack.status();
  EXPECT_EQ(stack->form, "power");
  EXPECT_EQ(stack->own_draws, 300);
  ASSERT_EQ(stack->rivals.size(), 1u);
  EXPECT_EQ(stack->rivals[0].form, "power-floor");
  EXPECT_EQ(stack->rivals[0].weight, 0.25);
  EXPECT_EQ(stack->rivals[0].draws.size(), 100u);

  // A floor can only raise what lies far beyond: the upper end of the interval holds it, and the JSON as well.
  const double far = 1e3 * study.back().flops;
  candidates[0].rivals = std::vector<std::string>();
  const auto alone = predict(*fit(study, candidates[0]), {{"flops", far}});
  const auto stacked = predict(*stack, {{"flops", far}});
  ASSERT_TRUE(alone.ok() && stacked.ok());
  EXPECT_EQ(stacked->value, alone->value);
  EXPECT_GT(stacked->high95 - stacked->value, 1.5 * (alone->high95 - alone->value));
  const auto again = from_json(to_json(*stack));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(predict(*again, {{"flops", far}})->high95, stacked->high95);
}

TEST(Stack, LeavesOutWhatItCannotMixAndSaysSo) {
  const auto study = curve_study(
      9, 3, [](double c) { return 400 * std::pow(c, -0.21); }, 0.01);
  std::vector<FitOptions> candidates = {form("power"), form("power")};
  candidates[1].residual = "raw";
  auto selection = select_form(study, candidates);
  ASSERT_TRUE(selection.ok()) << selection.status();
  for (RankedForm& ranked : selection->ranking) ranked.weight = ranked.candidate == 0 ? 0.6 : 0.4;
  const auto stack = fit_stack(study, candidates, *selection);
  ASSERT_TRUE(stack.ok()) << stack.status();
  EXPECT_TRUE(stack->rivals.empty());
  EXPECT_TRUE(std::any_of(stack->warnings.begin(), stack->warnings.end(), [](const std::string& w) {
    return w.find("laws of other columns or residuals") != std::string::npos;
  }));
  SelectionOptions none;
  none.bootstrap = 0;
  EXPECT_EQ(fit_stack(study, candidates, *select_form(study, candidates, none)).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(Selection, IsTheSameForAnyNumberOfThreads) {
  const auto study = curve_study(12, 2.5, floor_curve, 0.01);
  SelectionOptions options;
  options.threads = 1;
  const auto one = select_form(study, {form("power"), form("power-floor")}, options);
  options.threads = 5;
  const auto five = select_form(study, {form("power"), form("power-floor")}, options);
  ASSERT_TRUE(one.ok() && five.ok());
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(one->ranking[i].error, five->ranking[i].error);
    EXPECT_EQ(one->ranking[i].weight, five->ranking[i].weight);
  }
}

TEST(Selection, NamesWhatIsWrong) {
  const auto study = curve_study(10, 2.5, floor_curve);
  const auto message = [](const auto& result) { return std::string(result.status().message()); };
  EXPECT_NE(message(select_form(study, {})).find("candidates: none"), std::string::npos);
  EXPECT_NE(message(select_form(study, {form("power"), form("expo")})).find("candidates[1]: form"), std::string::npos);
  SelectionOptions options;
  options.factors = {0.5};
  EXPECT_NE(message(select_form(study, {form("power")}, options)).find("factors: must be above 1"), std::string::npos);
  options = {};
  options.by = "epochs";
  EXPECT_NE(message(select_form(study, {form("power")}, options)).find("by: not every observation"), std::string::npos);
  const auto narrow = select_form(curve_study(6, 1.1, floor_curve), {form("power")});
  EXPECT_EQ(narrow.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace scalelaw::analysis
