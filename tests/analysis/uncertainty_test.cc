#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/bootstrap.h"
#include "analysis/intervals.h"
#include "analysis/law.h"
#include "analysis/quantile.h"
#include "analysis/rivals.h"
#include "tests/analysis/fixtures.h"

namespace scalelaw::analysis {
namespace {

const Parameter& described(const Law& law, const std::string& name) {
  return *std::find_if(law.parameters.begin(), law.parameters.end(), [&](const auto& p) { return p.name == name; });
}
double width(const Parameter& p) {
  return p.ci95_high - p.ci95_low;
}
bool warns(const Law& law, const std::string& words) {
  return std::any_of(law.warnings.begin(), law.warnings.end(),
                     [&](const std::string& w) { return w.find(words) != std::string::npos; });
}

/// A power law is a straight line in logs: its exact 95 % intervals are known.
double exact_half_width_of_slope(const std::vector<Observation>& runs, double slope, double intercept) {
  double mean = 0, xx = 0, rr = 0;
  const double n = static_cast<double>(runs.size());
  for (const Observation& o : runs) mean += std::log(o.flops) / n;
  for (const Observation& o : runs) {
    xx += std::pow(std::log(o.flops) - mean, 2);
    rr += std::pow(std::log(o.value) - intercept - slope * std::log(o.flops), 2);
  }
  return student_quantile(0.975, static_cast<int>(n) - 2) * std::sqrt(rr / (n - 2) / xx);
}

FitOptions of_all(const std::string& form, const std::string& resample = "", const std::string& intervals = "") {
  FitOptions options;
  options.form = form;
  options.points = "all";
  options.resample = resample;
  options.intervals = intervals;
  options.rivals.emplace();
  return options;
}

const auto straight = [](double c) { return 400 * std::pow(c, -0.21); };
const auto floored = [](double c) { return 0.5 + 90 * std::pow(c, -0.2); };

TEST(Quantile, OfStudentsDistributionMatchesTables) {
  EXPECT_NEAR(student_quantile(0.975, 1), 12.7062047, 1e-6);
  EXPECT_NEAR(student_quantile(0.975, 2), 4.30265273, 1e-7);
  EXPECT_NEAR(student_quantile(0.975, 5), 2.57058184, 1e-7);
  EXPECT_NEAR(student_quantile(0.975, 30), 2.04227246, 1e-7);
  EXPECT_NEAR(student_quantile(0.975, 1000), 1.96233908, 1e-6);
  EXPECT_NEAR(chi_squared_quantile(0.95, 2) / 5.991, 1, 0.01);
}

TEST(Profile, OfAStraightLineGivesTheExactInterval) {
  const auto runs = curve_study(7, 2, straight, 0.02);
  const auto law = fit(runs, of_all("power", "model", "profile"));
  ASSERT_TRUE(law.ok()) << law.status();
  const Parameter& b = described(*law, "b");
  const double half = exact_half_width_of_slope(runs, b.value, std::log(parameter(*law, "a")));
  EXPECT_NEAR(b.ci95_high - b.value, half, 0.005 * half);
  EXPECT_NEAR(b.value - b.ci95_low, half, 0.005 * half);
  EXPECT_TRUE(b.identified);
  EXPECT_EQ(law->intervals, "profile");
  ASSERT_EQ(law->profiles.size(), 2u);
  EXPECT_EQ(law->profiles[1].parameter, "b");
  const auto& curve = law->profiles[1].curve;
  EXPECT_TRUE(std::is_sorted(curve.begin(), curve.end(), [](auto& x, auto& y) { return x.value < y.value; }));
  EXPECT_GT(curve.front().statistic, law->profiles[1].critical);
  EXPECT_GT(curve.back().statistic, law->profiles[1].critical);
}

TEST(Profile, ReachesTheEndWhereAFloorIsNotSeen) {
  const auto law = fit(curve_study(8, 2, straight, 0.01), of_all("power-floor", "model", "profile"));
  ASSERT_TRUE(law.ok()) << law.status();
  const Parameter& floor = described(*law, "E");
  EXPECT_EQ(floor.unbounded, "below");
  EXPECT_FALSE(floor.identified);
  EXPECT_EQ(floor.ci95_low, 0);
  EXPECT_TRUE(warns(*law, "unbounded below"));
}

TEST(Profile, OfLeastAbsoluteDeviationIsFiniteAndHoldsTheTruth) {
  FitOptions options = of_all("power", "model", "profile");
  options.objective = "lad";
  const auto law = fit(curve_study(30, 1.3, straight, 0.02), options);
  ASSERT_TRUE(law.ok()) << law.status();
  const Parameter& b = described(*law, "b");
  EXPECT_LT(b.ci95_low, -0.21);
  EXPECT_GT(b.ci95_high, -0.21);
  EXPECT_LT(width(b), 0.05);
}

class Bootstraps : public testing::TestWithParam<std::string> {};

TEST_P(Bootstraps, ComeCloseToTheExactIntervalOfAStraightLine) {
  const auto runs = curve_study(40, 1.3, straight, 0.02);
  const auto law = fit(runs, of_all("power", GetParam()));
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_EQ(law->resample, GetParam());
  const Parameter& b = described(*law, "b");
  const double exact = 2 * exact_half_width_of_slope(runs, b.value, std::log(parameter(*law, "a")));
  EXPECT_NEAR(width(b), exact, 0.25 * exact);
  EXPECT_TRUE(b.identified);
}

TEST_P(Bootstraps, IgnoreRowsWithoutWeight) {
  auto runs = curve_study(40, 1.3, straight, 0.02);
  const auto clean = fit(runs, of_all("power", GetParam()));
  for (int i = 0; i < 3; ++i) {
    Observation wild = runs[5];
    wild.run = "wild" + std::to_string(i);
    wild.value *= 3;
    wild.weight = 0;
    runs.push_back(wild);
  }
  const auto law = fit(runs, of_all("power", GetParam()));
  ASSERT_TRUE(clean.ok() && law.ok());
  EXPECT_NEAR(law->sigma, clean->sigma, 1e-9);
  EXPECT_NEAR(width(described(*law, "b")), width(described(*clean, "b")), 0.15 * width(described(*clean, "b")));
}

TEST_P(Bootstraps, AreTheSameForAnyNumberOfThreads) {
  FitOptions options = of_all("power-floor", GetParam(), "bca");
  options.bootstrap = 60;
  options.threads = 1;
  const auto runs = curve_study(40, 1.3, floored, 0.01);
  const auto one = fit(runs, options);
  options.threads = 3;
  EXPECT_EQ(to_json(*one), to_json(*fit(runs, options)));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Bootstraps, testing::Values("pairs", "cluster", "residual", "wild", "model"));

TEST(Bootstrap, OfClustersIsAsWideAsIfEachRunHadOneRow) {
  const auto alone = curve_study(40, 1.3, straight, 0.02);
  std::vector<Observation> repeated;
  for (const Observation& o : alone) repeated.insert(repeated.end(), 5, o);
  const auto single = fit(alone, of_all("power")), clusters = fit(repeated, of_all("power")),
             pairs = fit(repeated, of_all("power", "pairs"));
  ASSERT_TRUE(single.ok() && clusters.ok() && pairs.ok());
  EXPECT_EQ(single->resample, "pairs");
  EXPECT_EQ(clusters->resample, "cluster");
  const double expected = width(described(*single, "b"));
  EXPECT_NEAR(width(described(*clusters, "b")), expected, 0.1 * expected);
  EXPECT_NEAR(width(described(*pairs, "b")), expected / std::sqrt(5), 0.1 * expected);
}

TEST(Bootstrap, OfFewRunsWithManyRowsEachIsWild) {
  std::vector<Observation> repeated;
  for (const Observation& o : curve_study(8, 2, straight, 0.02)) repeated.insert(repeated.end(), 5, o);
  const auto law = fit(repeated, of_all("power"));
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_EQ(law->resample, "wild");
}

TEST(Bootstrap, NamesWhatItDoesNotKnowAndWhatAFrontierCannot) {
  const auto runs = curve_study(8, 2, straight, 0.02);
  const auto message = [&](FitOptions options) { return std::string(fit(runs, options).status().message()); };
  EXPECT_NE(message(of_all("power", "jackknife")).find("resample: 'jackknife' is unknown"), std::string::npos);
  EXPECT_NE(message(of_all("power", "", "exact")).find("intervals: 'exact' is unknown"), std::string::npos);
  FitOptions frontier = of_all("power", "pairs");
  frontier.points = "frontier";
  EXPECT_NE(message(frontier).find("use model, residual or wild"), std::string::npos);
}

TEST(Bca, IsThePercentileIntervalWithoutBiasOrSkewAndFollowsBothWithThem) {
  std::vector<double> draws;
  for (int i = 1; i < 4000; ++i) draws.push_back(i / 4000.0);
  const Interval plain = bca_interval(draws, 0.5, 0);
  EXPECT_NEAR(plain.low, 0.025, 1e-3);
  EXPECT_NEAR(plain.high, 0.975, 1e-3);
  // Efron 1987, eq. 6.6, by hand: z0 = Φ⁻¹(0.6) = 0.25335, a = 0.1.
  const Interval corrected = bca_interval(draws, 0.6, 0.1);
  EXPECT_NEAR(corrected.low, normal_cdf(0.25335 + (0.25335 - 1.95996) / (1 + 0.1 * 1.70661)), 2e-3);
  EXPECT_NEAR(corrected.high, normal_cdf(0.25335 + (0.25335 + 1.95996) / (1 - 0.1 * 2.21331)), 2e-3);
}

TEST(Bca, WarnsOfFewPoints) {
  EXPECT_TRUE(warns(*fit(curve_study(8, 2, straight, 0.01), of_all("power", "", "bca")), "rests on 8 points"));
  EXPECT_FALSE(warns(*fit(curve_study(40, 1.3, straight, 0.01), of_all("power", "", "bca")), "bca"));
}

TEST(Identification, SaysWhichParametersTradeOff) {
  const auto law = fit(curve_study(6, 1.05, floored, 1e-5), of_all("power-floor"));
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_GT(law->condition, 1000);
  EXPECT_TRUE(warns(*law, "only in combination"));
  const auto wide = fit(curve_study(
                            30, 3, [](double c) { return 0.5 + 9e3 * std::pow(c, -0.5); }, 1e-3),
                        of_all("power-floor"));
  ASSERT_TRUE(wide.ok()) << wide.status();
  EXPECT_LT(wide->condition, 100);
  EXPECT_FALSE(warns(*wide, "only in combination"));
  for (size_t j = 0; j < 3; ++j) {
    EXPECT_EQ(wide->correlation[j][j], 1);
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(wide->correlation[j][k], wide->correlation[k][j]);
      EXPECT_LE(std::abs(wide->correlation[j][k]), 1);
    }
  }
  // Far from x = 1 the scale and the exponent of a power are one and the same.
  EXPECT_GT(wide->correlation[1][2], 0.99);
}

TEST(Noise, ThatGrowsWithAColumnIsNoticed) {
  auto runs = curve_study(60, 1.2, straight);
  Random random(3, 5);
  for (size_t i = 0; i < runs.size(); ++i) runs[i].value *= std::exp(0.001 * (1 + 0.3 * i) * random.normal());
  const auto law = fit(runs, of_all("power"));
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_TRUE(warns(*law, "grows with flops"));
  EXPECT_FALSE(warns(*fit(curve_study(60, 1.2, straight, 0.01), of_all("power")), "not the same everywhere"));
}

TEST(Rivals, MakeThePredictionOfALawWithoutAFloorHonest) {
  const auto runs = curve_study(6, 2.5, floored, 0.01);
  FitOptions options = of_all("power");
  const auto alone = fit(runs, options);
  options.rivals.reset();
  const auto law = fit(runs, options);
  ASSERT_TRUE(law.ok()) << law.status();
  ASSERT_EQ(law->rivals.size(), 1u);
  EXPECT_EQ(law->rivals[0].form, "power-floor");
  EXPECT_NEAR(law->own_draws + static_cast<double>(law->rivals[0].draws.size()), 1000, 1);
  EXPECT_TRUE(warns(*law, "power-floor describes these points"));
  const double far = runs.back().flops * 100;
  const auto naive = predict(*alone, {{"flops", far}}), honest = predict(*law, {{"flops", far}});
  EXPECT_LT(naive->high95, floored(far));
  EXPECT_GT(honest->high95, floored(far));
  EXPECT_EQ(naive->value, honest->value);
}

TEST(Rivals, MustExistWhereTheyAreNamed) {
  FitOptions options = of_all("power");
  options.rivals = {"expo"};
  EXPECT_NE(std::string(fit(curve_study(6, 2, straight, 0.01), options).status().message()).find("rivals: 'expo'"),
            std::string::npos);
}

TEST(Rivals, WeighByTheirFitAndTheirParameters) {
  // Equal fits: one parameter more costs a factor e.
  const auto equal = akaike_weights({{1, 2}, {1, 3}}, 0.5);
  EXPECT_NEAR(equal[0] / equal[1], std::exp(1), 1e-12);
  EXPECT_NEAR(equal[0] + equal[1], 1, 1e-12);
  EXPECT_LT(akaike_weights({{10, 2}, {1, 3}}, 0.5)[0], 1e-6);
}

/// docs/laws.md, "Predicting from the document", by someone who has only that.
double quantile_from_document(const nlohmann::json& document, double x, double q) {
  std::vector<double> y;
  const auto add = [&](const std::string& law, const nlohmann::json& draws, size_t count) {
    for (size_t d = 0; d < count; ++d) {
      const auto p = draws[d]["parameters"].get<std::vector<double>>();
      const double curve = law == "power" ? p[0] * std::pow(x, p[1]) : p[0] + p[1] * std::pow(x, -p[2]);
      for (int j = 0; j < 4; ++j) {
        const double u = (j + std::fmod((static_cast<double>(d) + 0.5) * 0.61803398874989485, 1.0)) / 4;
        y.push_back(curve * std::exp(draws[d]["sigma"].get<double>() * normal_quantile(u)));
      }
    }
  };
  const auto& uncertainty = document["uncertainty"];
  add(document["law"], document["draws"], uncertainty["own_draws"]);
  for (const auto& rival : uncertainty["rivals"]) add(rival["law"], rival["draws"], rival["draws"].size());
  std::sort(y.begin(), y.end());
  return y[static_cast<size_t>(q * static_cast<double>(y.size() - 1) + 0.5)];
}

TEST(Document, PredictsWithRivalsInAnyLanguage) {
  FitOptions options = of_all("power");
  options.rivals.reset();
  const auto law = fit(curve_study(6, 2.5, floored, 0.02), options);
  ASSERT_TRUE(law.ok()) << law.status();
  ASSERT_FALSE(law->rivals.empty());
  const auto document = nlohmann::json::parse(to_json(*law));
  const double x = law->ranges[0].high * 10;
  const auto prediction = predict(*law, {{"flops", x}});
  EXPECT_NEAR(quantile_from_document(document, x, 0.025) / prediction->low95, 1, 1e-12);
  EXPECT_NEAR(quantile_from_document(document, x, 0.975) / prediction->high95, 1, 1e-12);
  EXPECT_NEAR(quantile_from_document(document, x, 0.25) / prediction->low50, 1, 1e-12);
}

TEST(Document, OfTheFirstVersionStillPredicts) {
  const auto law = fit(curve_study(6, 2.5, floored, 0.02), of_all("power-floor"));
  auto document = nlohmann::json::parse(to_json(*law));
  document["version"] = 1;
  document.erase("uncertainty");
  for (auto& p : document["parameters"]) p.erase("unbounded");
  const auto read = from_json(document.dump());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(predict(*read, {{"flops", 1e13}})->high95, predict(*law, {{"flops", 1e13}})->high95);
}

TEST(Document, KeepsEveryProfile) {
  const auto law = fit(curve_study(8, 2, straight, 0.01), of_all("power-floor", "model", "profile"));
  const auto read = from_json(to_json(*law));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->profiles.size(), 3u);
  EXPECT_EQ(read->profiles[0].curve.size(), law->profiles[0].curve.size());
  EXPECT_EQ(read->condition, law->condition);
  EXPECT_EQ(read->parameters[0].unbounded, law->parameters[0].unbounded);
}

}  // namespace
}  // namespace scalelaw::analysis
