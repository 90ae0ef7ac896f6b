#include "analysis/plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "analysis/design.h"
#include "analysis/random.h"
#include "bench/analysis/plan_trial.h"
#include "tests/analysis/laws.h"

namespace scalelaw::analysis {
namespace {

/// y = a·x^b from runs at x = 1, e, e², …, so that ln y is a line: everything is known in closed form.
struct Line {
  std::vector<double> logs = {0, 1, 2, 3, 4};
  double sigma = 0.02;

  double variance_at(double u, const std::vector<double>& extra = {}) const {
    double n = 0, sum = 0, squares = 0;
    for (const auto& list : {logs, extra})
      for (double l : list) {
        ++n;
        sum += l;
        squares += l * l;
      }
    const double mean = sum / n;
    return sigma * sigma * (1 / n + (u - mean) * (u - mean) / (squares - n * mean * mean));
  }
  Law law(int draws = 4000) const {
    Law law = known_law("power", {"flops"}, {{"a", 2}, {"b", -0.1}}, {{1, std::exp(4)}});
    law.sigma = sigma;
    law.sigma_dof = 1000;
    Random random(8, 0);
    const double centre = 2, spread = 10;
    for (int d = 0; d < draws; ++d) {
      const double level = sigma / std::sqrt(5) * random.normal(), slope = sigma / std::sqrt(spread) * random.normal();
      law.draws.push_back({{2 * std::exp(level - centre * slope), -0.1 + slope}, sigma});
    }
    return law;
  }
};

Candidate at(double u, double flops, int repeats = 1) {
  return {{{"flops", std::exp(u)}}, flops, repeats, ""};
}

PlanOptions to_predict(double u, double flops, std::vector<Candidate> candidates) {
  PlanOptions options;
  options.at = {{"flops", std::exp(u)}};
  options.flops = flops;
  options.candidates = std::move(candidates);
  return options;
}

std::string message(const absl::StatusOr<Plan>& result) {
  return std::string(result.status().message());
}

TEST(Plan, WidthsOfALineAreThoseOfRegression) {
  const Line line;
  const auto p = plan(line.law(), {}, to_predict(8, 2, {at(6, 1), at(0, 1)}));
  ASSERT_TRUE(p.ok()) << p.status();
  const double value = 2 * std::exp(-0.8);
  EXPECT_NEAR(p->target, value, 1e-12);
  EXPECT_NEAR(p->before.curve / (value * 1.962 * std::sqrt(line.variance_at(8))), 1, 0.03);
  ASSERT_EQ(p->runs.size(), 2u);
  EXPECT_EQ(p->runs[0].candidate, 0);
  EXPECT_NEAR(p->runs[0].half_width / (value * 1.962 * std::sqrt(line.variance_at(8, {6}))), 1, 0.03);
  EXPECT_NEAR(p->after.curve / (value * 1.962 * std::sqrt(line.variance_at(8, {6, 0}))), 1, 0.03);
  EXPECT_NEAR(p->after.run, value * std::sinh(1.962 * std::sqrt(line.variance_at(8, {6, 0}) + 0.0004)), 1e-3 * value);
  EXPECT_NEAR(p->runs[0].contribution + p->runs[1].contribution, 1, 1e-12);
  EXPECT_EQ(p->flops, 2);
}

// Every way to spend the budget, by brute force.
TEST(Plan, IsTheBestOfAllThatTheBudgetPaysFor) {
  const Line line;
  const std::vector<double> places = {0, 2, 4, 5, 6}, cost = {1, 2, 4, 7, 11};
  for (double budget : {4.0, 9.0, 15.0, 24.0}) {
    std::vector<Candidate> candidates;
    for (size_t i = 0; i < places.size(); ++i) candidates.push_back(at(places[i], cost[i], 3));
    const auto p = plan(line.law(20000), {}, to_predict(8, budget, candidates));
    ASSERT_TRUE(p.ok());
    double least = HUGE_VAL;
    for (int code = 0; code < 1024; ++code) {
      std::vector<double> extra;
      double spent = 0;
      for (size_t i = 0; i < places.size(); ++i)
        for (int repeat = 0; repeat < (code >> (2 * i)) % 4; ++repeat) {
          extra.push_back(places[i]);
          spent += cost[i];
        }
      if (spent <= budget) least = std::min(least, line.variance_at(8, extra));
    }
    std::vector<double> extra;
    for (const PlannedRun& run : p->runs) extra.push_back(places[run.candidate]);
    EXPECT_LE(p->flops, budget * (1 + 1e-9));
    EXPECT_LE(std::sqrt(line.variance_at(8, extra) / least), 1.01) << budget;
  }
}

TEST(Plan, EndsWhereTheIntervalIsNarrowEnough) {
  const Line line;
  PlanOptions options = to_predict(8, 0, {at(6, 1, 100)});
  const double value = 2 * std::exp(-0.8);
  options.half_width = value * 0.02;
  const auto p = plan(line.law(), {}, options);
  ASSERT_TRUE(p.ok()) << p.status();
  EXPECT_TRUE(p->reached);
  std::vector<double> extra;
  while (1.962 * std::sqrt(line.variance_at(8, extra)) > 0.02) extra.push_back(6);
  EXPECT_NEAR(static_cast<double>(p->runs.size()), static_cast<double>(extra.size()), 1);
  EXPECT_LE(p->after.curve, *options.half_width);
  options.max_runs = 2;
  const auto cut = plan(line.law(), {}, options);
  EXPECT_FALSE(cut->reached);
  EXPECT_NE(cut->warnings.back().find("is not reached"), std::string::npos);
  options.half_width = value;
  EXPECT_TRUE(plan(line.law(), {}, options)->runs.empty());
}

TEST(Plan, GivesSeedsThatNoOtherRunHas) {
  std::vector<Observation> observations(2);
  for (int i = 0; i < 2; ++i) {
    observations[i].flops = std::exp(6) * 0.995;
    observations[i].seed = i;
  }
  const auto p = plan(Line().law(), observations, to_predict(8, 4, {at(6, 1, 2), at(5, 1, 2)}));
  ASSERT_TRUE(p.ok());
  ASSERT_EQ(p->runs.size(), 4u);
  std::vector<std::int64_t> near, elsewhere;
  for (const PlannedRun& run : p->runs) (run.candidate == 0 ? near : elsewhere).push_back(run.seed);
  EXPECT_EQ(near, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(elsewhere, (std::vector<std::int64_t>{0, 1}));
}

TEST(Plan, ForTheBestSizeTakesRunsOffTheOptimum) {
  PlanTrial trial;
  const std::vector<Observation> design = trial.design();
  std::vector<Observation> runs = design;
  Random random(4, 0);
  for (size_t i = 0; i < runs.size(); ++i) {
    runs[i].run = std::to_string(i);
    runs[i].value = trial.loss(runs[i].params, runs[i].samples) * std::exp(0.01 * random.normal());
  }
  FitOptions fit_options = trial.fit_options();
  fit_options.bootstrap = 300;
  const Law law = *fit(runs, fit_options);
  PlanOptions options;
  options.best_params_at_flops = 10 * trial.largest_budget();
  options.flops = 10 * trial.largest_budget();
  options.candidates = trial.candidates();
  const auto p = plan(law, runs, options);
  ASSERT_TRUE(p.ok()) << p.status();
  ASSERT_FALSE(p->runs.empty());
  EXPECT_LT(p->after.curve, 0.8 * p->before.curve);
  EXPECT_EQ(p->after.run, 0);
  int off = 0;
  for (const PlannedRun& run : p->runs) {
    const double factor = run.at.at("params") / trial.best_params(run.flops);
    off += factor < 0.6 || factor > 1.6;
  }
  EXPECT_GT(off, static_cast<int>(p->runs.size()) / 2);
}

TEST(Plan, ErrorsNameTheField) {
  const Line line;
  const Law law = line.law(200);
  EXPECT_NE(message(plan(law, {}, to_predict(8, 0, {at(6, 1)}))).find("flops: give a budget"), std::string::npos);
  EXPECT_NE(message(plan(law, {}, to_predict(8, 1, {}))).find("candidates"), std::string::npos);
  EXPECT_NE(message(plan(law, {}, to_predict(8, 1, {at(6, -1)}))).find("candidates[0].flops"), std::string::npos);
  PlanOptions wrong = to_predict(8, 1, {at(6, 1)});
  wrong.candidates[0].at = {{"tokens", 5}};
  EXPECT_NE(message(plan(law, {}, wrong)).find("candidates[0].at: give one value for each of the law's columns: flops"),
            std::string::npos);
  EXPECT_EQ(plan(line.law(10), {}, to_predict(8, 1, {at(6, 1)})).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(CandidateGrid, HasEverySizeAtEveryBudget) {
  const auto grid = candidate_grid(hoffmann_law(), {1e18, 1e19}, {1e8, 1e9, 1e10}, 2, {});
  ASSERT_TRUE(grid.ok());
  ASSERT_EQ(grid->size(), 6u);
  EXPECT_EQ((*grid)[1].at.at("params"), 1e9);
  EXPECT_NEAR((*grid)[1].at.at("samples"), 1e18 / 6e9, 1);
  EXPECT_EQ((*grid)[1].flops, 1e18);
  Law frontier = known_law("power", {"flops"}, {{"a", 2}, {"b", -0.1}}, {{1, 10}});
  frontier.points_kind = "frontier";
  const auto rungs = candidate_grid(frontier, {1e18, 1e19}, {1e8, 1e9, 1e10}, 1, {});
  ASSERT_EQ(rungs->size(), 2u);
  EXPECT_EQ((*rungs)[1].flops, 3e19);
}

// bench/analysis/plan_gain.cc measures more kinds of study.
TEST(PlanTrial, NarrowsAsPromisedAndMoreThanAnEvenLadder) {
  for (const PlanTrial& trial : {PlanTrial{.form = "power-floor", .budgets = 6}, PlanTrial{}}) {
    const PlanOutcome o = try_plan(trial, 3, 150);
    EXPECT_LT(o.after, 0.8 * o.before) << trial.form;
    EXPECT_LT(o.after, o.again) << trial.form;
    EXPECT_LT(o.after, o.even) << trial.form;
    // A law's own noise and curve are known to some 10 to 30 %.
    EXPECT_NEAR(std::log(o.promised_after / o.promised_before), std::log(o.after / o.before), 0.35) << trial.form;
  }
}

}  // namespace
}  // namespace scalelaw::analysis
