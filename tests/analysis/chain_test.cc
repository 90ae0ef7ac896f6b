#include <gtest/gtest.h>

#include "analysis/law.h"
#include "tests/analysis/fixtures.h"
#include "tests/analysis/truths.h"

namespace scalelaw::analysis {
namespace {

struct Study {
  std::vector<Observation> losses, scores;
};

/// Chinchilla's surface and a sigmoid of its loss, 36 runs; noise of both is relative.
Study study(double noise) {
  Study result{truth("chinchilla").observations, {}};
  Random random(3, 9);
  for (Observation& o : result.losses) {
    Observation score = o;
    o.value *= std::exp(noise * random.normal());
    score.value = make_form("sigmoid", {})->value(std::vector<double>{0.1, 0.9, 2.4, 0.2}.data(), &o.value) +
                  0.3 * noise * random.normal();
    result.scores.push_back(score);
  }
  return result;
}

FitOptions sigmoid_chain(int bootstrap = 0) {
  FitOptions options;
  options.metric = "alignment";
  options.form = "chinchilla>sigmoid";
  options.bootstrap = bootstrap;
  return options;
}

TEST(Chain, RecoversBothStagesFromAStudyWithoutNoise) {
  const Study s = study(0);
  const auto law = fit_chain(s.losses, s.scores, sigmoid_chain());
  ASSERT_TRUE(law.ok()) << law.status();
  const std::vector<double> expected = {1.8, 480, 2100, 0.35, 0.37, 0.1, 0.9, 2.4, 0.2};
  for (size_t j = 0; j < expected.size(); ++j)
    EXPECT_NEAR(law->parameters[j].value / expected[j], 1, 1e-4) << law->parameters[j].name;
  EXPECT_EQ(law->metric, "alignment");
  EXPECT_EQ(law->x, (std::vector<std::string>{"params", "samples"}));
  EXPECT_NEAR(law->r2, 1, 1e-9);
  EXPECT_NEAR(evaluate(*law, {law->points[5].x}), law->points[5].value, 1e-6);
}

TEST(Chain, IsAnOrdinaryLawThatSurvivesItsDocument) {
  const Study s = study(0.005);
  const auto law = fit_chain(s.losses, s.scores, sigmoid_chain(60));
  ASSERT_TRUE(law.ok()) << law.status();
  ASSERT_EQ(law->draws.size(), 60u);
  const auto read = from_json(to_json(*law));
  ASSERT_TRUE(read.ok()) << read.status();
  const std::map<std::string, double> at = {{"params", 1e11}, {"samples", 2e12}};
  const auto before = predict(*law, at), after = predict(*read, at);
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(before->value, after->value);
  EXPECT_EQ(before->low95, after->low95);
  EXPECT_EQ(before->high95, after->high95);
  EXPECT_LT(before->low95, before->value);
  EXPECT_GT(before->high95, before->value);
  EXPECT_LT(before->high95 - before->low95, 0.1);
}

TEST(Chain, IsTheSameForAnyNumberOfThreads) {
  const Study s = study(0.005);
  FitOptions options = sigmoid_chain(60);
  options.threads = 1;
  const auto one = fit_chain(s.losses, s.scores, options);
  options.threads = 5;
  const auto five = fit_chain(s.losses, s.scores, options);
  ASSERT_TRUE(one.ok() && five.ok());
  EXPECT_EQ(to_json(*one), to_json(*five));
}

TEST(Chain, RunsWithoutAScoreStillInformTheLoss) {
  Study s = study(0.005);
  s.scores.erase(s.scores.begin() + 3, s.scores.begin() + 12);
  const auto law = fit_chain(s.losses, s.scores, sigmoid_chain(40));
  ASSERT_TRUE(law.ok()) << law.status();
  FitOptions surface;
  surface.form = "chinchilla";
  surface.bootstrap = 0;
  EXPECT_EQ(parameter(*law, "E"), parameter(*fit(s.losses, surface), "E"));
  EXPECT_EQ(law->points.size(), s.scores.size());
  EXPECT_NEAR(parameter(*law, "L0"), 2.4, 0.05);
}

TEST(Chain, ParametersOfEitherStageMayBeFixed) {
  const Study s = study(0.005);
  FitOptions options = sigmoid_chain();
  options.fixed = {{"E", 1.8}, {"upper", 0.9}};
  const auto law = fit_chain(s.losses, s.scores, options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_EQ(parameter(*law, "E"), 1.8);
  EXPECT_EQ(parameter(*law, "upper"), 0.9);
  options.fixed = {{"height", 1}};
  const auto refused = fit_chain(s.losses, s.scores, options);
  EXPECT_NE(std::string(refused.status().message()).find("no parameter 'height'"), std::string::npos);
}

TEST(Chain, RefusalsSayWhichStageAndWhatIsMissing) {
  Study s = study(0.005);
  const auto message = [](const absl::StatusOr<Law>& law) { return std::string(law.status().message()); };
  FitOptions options = sigmoid_chain();
  options.form = "chinchilla";
  EXPECT_NE(message(fit_chain(s.losses, s.scores, options)).find("LOSSFORM>sigmoid"), std::string::npos);
  EXPECT_NE(message(fit(s.losses, sigmoid_chain())).find("two stages"), std::string::npos);
  const std::vector<Observation> few(s.losses.begin(), s.losses.begin() + 4);
  EXPECT_NE(message(fit_chain(few, {}, sigmoid_chain())).find("loss stage: too few points"), std::string::npos);
  s.scores[2].run = "elsewhere";
  EXPECT_NE(message(fit_chain(s.losses, s.scores, sigmoid_chain())).find("1 of 36 have no loss"), std::string::npos);
  const std::vector<Observation> three(s.scores.begin() + 3, s.scores.begin() + 6);
  EXPECT_NE(message(fit_chain(few, {}, sigmoid_chain())).find("loss stage"), std::string::npos);
}

}  // namespace
}  // namespace scalelaw::analysis
