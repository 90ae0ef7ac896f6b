#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "analysis/law.h"
#include "bench/analysis/simulated_study.h"
#include "tests/analysis/fixtures.h"
#include "tests/analysis/truths.h"

namespace scalelaw::analysis {
namespace {

Law fitted(const std::string& form, int bootstrap = 300) {
  FitOptions options;
  options.form = form;
  options.bootstrap = bootstrap;
  options.observations_hash = "ab12";
  options.code_version = "1.2.3";
  if (form == "bounded") {
    options.chance = 0.3;
    options.ceiling = 0.95;
    return *fit(curve_study(
                    6, 2.5, [](double c) { return 0.95 - 0.65 / (1 + std::pow(c / 8e10, 0.9)); }, 0.01),
                options);
  }
  if (form == "chinchilla") return *fit(chinchilla_runs(), options);
  if (form != "power" && form != "power-floor" && form != "var-power") {
    const Truth t = truth(form, 0.01);
    options.points = t.options.points;
    return *fit(t.observations, options);
  }
  return *fit(curve_study(
                  6, 2.5, [](double c) { return 0.5 + 90 * std::pow(c, -0.2); }, 0.01),
              options);
}

std::map<std::string, double> somewhere(const Law& law) {
  std::map<std::string, double> at;
  for (const Range& range : law.ranges) at[range.column] = range.high * 4;
  return at;
}

class Document : public testing::TestWithParam<std::string> {};

TEST_P(Document, PredictsTheSameAfterARoundTrip) {
  const Law law = fitted(GetParam(), make_form(GetParam(), {})->has_starts() ? 8 : 30);
  const std::string text = to_json(law);
  const auto read = from_json(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(to_json(*read), text);
  const auto before = predict(law, somewhere(law)), after = predict(*read, somewhere(law));
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(before->value, after->value);
  EXPECT_EQ(before->low95, after->low95);
  EXPECT_EQ(before->low50, after->low50);
  EXPECT_EQ(before->high50, after->high50);
  EXPECT_EQ(before->high95, after->high95);
  EXPECT_EQ(before->warnings, after->warnings);
  EXPECT_EQ(read->observations_hash, "ab12");
  EXPECT_EQ(read->code_version, "1.2.3");
}

INSTANTIATE_TEST_SUITE_P(Laws, Document, testing::ValuesIn(form_names()), [](const auto& param_info) {
  std::string name = param_info.param;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

TEST(Document, NamesTheFieldThatIsMissingOrWrong) {
  const std::string text = to_json(fitted("power", 10));
  auto document = nlohmann::json::parse(text);
  document.erase("objective");
  EXPECT_NE(std::string(from_json(document.dump()).status().message()).find("objective"), std::string::npos);
  document = nlohmann::json::parse(text);
  document["law"] = "expo";
  EXPECT_NE(std::string(from_json(document.dump()).status().message()).find("expo"), std::string::npos);
  document = nlohmann::json::parse(text);
  document["version"] = 99;
  EXPECT_NE(std::string(from_json(document.dump()).status().message()).find("99"), std::string::npos);
  document = nlohmann::json::parse(text);
  document["draws"][3]["parameters"].push_back(1);
  EXPECT_NE(std::string(from_json(document.dump()).status().message()).find("draws"), std::string::npos);
  EXPECT_EQ(from_json("{").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Predict, IntervalsNestAroundTheCurveAndWidenWithDistance) {
  const Law law = fitted("power-floor");
  double width = 0;
  for (double factor : {1.0, 4.0, 30.0}) {
    const auto p = predict(law, {{"flops", law.ranges[0].high * factor}});
    ASSERT_TRUE(p.ok());
    EXPECT_LT(p->low95, p->low50);
    EXPECT_LT(p->low50, p->high50);
    EXPECT_LT(p->high50, p->high95);
    EXPECT_LT(p->low95, p->value);
    EXPECT_GT(p->high95, p->value);
    EXPECT_GT((p->high95 - p->low95) / p->value, width);
    width = (p->high95 - p->low95) / p->value;
    EXPECT_NEAR(p->extrapolation.at("flops"), factor, 1e-9);
  }
}

TEST(Predict, ABoundedScoreStaysWithinItsBoundsAndItsIntervalsWithinZeroAndOne) {
  const Law law = fitted("bounded");
  for (double flops = 1e6; flops < 1e20; flops *= 10) {
    const auto p = predict(law, {{"flops", flops}});
    ASSERT_TRUE(p.ok());
    EXPECT_GE(p->low95, 0);
    EXPECT_LE(p->high95, 1);
    EXPECT_GE(p->value, 0.3);
    EXPECT_LE(p->value, 0.95);
  }
}

TEST(Predict, AMeasurementMayExceedTheCeilingByItsNoise) {
  const Law law = fitted("bounded");
  const auto p = predict(law, {{"flops", 1e20}});
  ASSERT_TRUE(p.ok());
  EXPECT_GT(p->high95, 0.95);
}

TEST(Predict, WarnsBeyondTenTimesTheFittedRange) {
  const Law law = fitted("power");
  EXPECT_TRUE(predict(law, {{"flops", law.ranges[0].high * 9}})->warnings.empty());
  const auto far = predict(law, {{"flops", law.ranges[0].high * 50}});
  ASSERT_EQ(far->warnings.size(), 1u);
  EXPECT_NE(far->warnings.back().find("50 times beyond"), std::string::npos);
}

TEST(Predict, NamesAMissingAnUnknownAndAnImpossibleColumn) {
  const Law law = fitted("power", 10);
  EXPECT_NE(std::string(predict(law, {}).status().message()).find("'flops' is missing"), std::string::npos);
  EXPECT_NE(std::string(predict(law, {{"tokens", 1}}).status().message()).find("no column 'tokens'"),
            std::string::npos);
  EXPECT_NE(std::string(predict(law, {{"flops", -1}}).status().message()).find("must be positive"), std::string::npos);
}

// bench/analysis/coverage.cc measures the rates over many kinds of study; here the bounds are four standard errors
// wide.
TEST(Coverage, OfLossPredictionsAtFourTimesTheLargestBudget) {
  SimulatedStudy study;
  study.form = "power-floor";
  const Coverage c = measure_coverage(study, 120, 200, 0);
  EXPECT_EQ(c.refused, 0);
  EXPECT_GE(c.inside95, 0.87);
  EXPECT_GE(c.inside50, 0.32);
  EXPECT_LE(c.inside50, 0.68);
  EXPECT_LT(c.width95, 0.2);
}

TEST(Coverage, OfScorePredictionsAtFourTimesTheLargestBudget) {
  SimulatedStudy study;
  study.form = "bounded";
  study.score = true;
  study.noise = 0.02;
  const Coverage c = measure_coverage(study, 120, 100, 0);
  EXPECT_EQ(c.refused, 0);
  EXPECT_GE(c.inside95, 0.87);
  EXPECT_GE(c.inside50, 0.32);
  EXPECT_LE(c.inside50, 0.72);
  EXPECT_LT(c.width95, 0.2);
}

}  // namespace
}  // namespace scalelaw::analysis
