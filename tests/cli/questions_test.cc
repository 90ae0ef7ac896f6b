// optimal, compare, plan, rank, approaches and diagnose on files: no server is there.
#include <cmath>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/run_command.h"

namespace scalelaw::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// Runs on a surface with equal exponents, 0.3 % about it; the 18th three times too high where `wrong`.
std::string ladder(bool wrong = false) {
  const std::string path = testing::TempDir() + (wrong ? "/wrong.csv" : "/ladder.csv");
  std::ofstream file(path);
  file << "name,N,D,C,loss\n";
  int row = 0;
  for (int b = 0; b < 6; ++b)
    for (int s = 0; s < 5; ++s) {
      const double flops = 1e11 * std::pow(3, b), params = 4e4 * std::pow(2, s + b * 0.8),
                   samples = flops / (6 * params);
      double loss = 0.25 + 22 * std::pow(params, -0.38) + 19 * std::pow(samples, -0.38);
      loss *= 1 + 0.003 * std::sin(7.0 * ++row);
      if (wrong && row == 18) loss *= 3;
      file << fmt::format("r{},{:.17g},{:.17g},{:.17g},{:.17g}\n", row, params, samples, flops, loss);
    }
  return path;
}
/// A law of the ladder, in a file.
std::string law_file(const std::string& name, const std::string& form) {
  const std::string path = testing::TempDir() + "/" + name;
  std::vector<std::string> words = {"fit", "--csv",       ladder(), "--y",   "loss", "--law",
                                    form,  "--bootstrap", "200",    "--out", path};
  if (form == "chinchilla") words.insert(words.end(), {"--x", "N", "--x", "D"});
  const Outcome outcome = scalelaw(words);
  EXPECT_EQ(outcome.exit, kOk) << outcome.err;
  return path;
}
json reply(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit, kOk) << outcome.err;
  return json::parse(outcome.out, nullptr, false);
}

TEST(Optimal, GivesTheBestSizeWithItsIntervalAndTheCostOfBeingOff) {
  const std::string law = law_file("surface.json", "chinchilla");
  const json best = reply(scalelaw({"optimal", "--law-file", law, "--flops", "1e14", "--json"}));
  EXPECT_NEAR(best["params_exponent"]["value"].get<double>(), 0.5, 0.05);
  EXPECT_LT(best["params"]["low95"].get<double>(), best["params"]["value"].get<double>());
  EXPECT_EQ(best["cost"]["source"], "default");
  const Outcome text = scalelaw({"optimal", "--law-file", law, "--flops", "1e14", "--cost", "6", "--sizes", "1e6,4e6"});
  EXPECT_EQ(text.exit, kOk) << text.err;
  EXPECT_THAT(text.out, HasSubstr("Best size for 1e14 FLOPs"));
  EXPECT_THAT(text.out, HasSubstr("6·N·D FLOPs (as given)"));
  EXPECT_THAT(text.out, HasSubstr("best in"));
}

TEST(Optimal, ServedSamplesMakeTheModelSmaller) {
  const std::string law = law_file("surface.json", "chinchilla");
  const json free = reply(scalelaw({"optimal", "--law-file", law, "--target", "0.6", "--json"}));
  const json served = reply(scalelaw({"optimal", "--law-file", law, "--target", "0.6", "--served", "1e9", "--json"}));
  EXPECT_LT(served["params"]["value"].get<double>(), free["params"]["value"].get<double>());
  EXPECT_GT(served["serving_flops"].get<double>(), 0);
}

TEST(Optimal, SaysWhatIsMissing) {
  EXPECT_THAT(scalelaw({"optimal", "--flops", "1e14"}).err, HasSubstr("name a STUDY and a --metric"));
  const std::string law = law_file("surface.json", "chinchilla");
  EXPECT_THAT(scalelaw({"optimal", "--law-file", law}).err, HasSubstr("either --flops to spend or a --target"));
  EXPECT_EQ(scalelaw({"optimal", "--law-file", "/nowhere.json", "--flops", "1e14"}).exit, kBadInput);
}

TEST(Compare, ALawBesideItselfNeedsTheSameCompute) {
  const std::string law = law_file("curve.json", "power-floor");
  const json comparison = reply(scalelaw({"compare", "--law-file", law, "--law-file", law, "--at", "1e12", "--json"}));
  EXPECT_NEAR(comparison["at"][0]["multiplier"]["value"].get<double>(), 1, 1e-9);
  const Outcome text = scalelaw({"compare", "--law-file", law, "--law-file", law});
  EXPECT_THAT(text.out, HasSubstr("B needs, of A's compute"));
  EXPECT_THAT(scalelaw({"compare", "--law-file", law}).err, HasSubstr("name two studies"));
}

TEST(Plan, ChoosesRunsWithinTheBudgetThatNarrowThePrediction) {
  const std::string law = law_file("surface.json", "chinchilla");
  const std::vector<std::string> words = {"plan",  "--law-file", law,    "--csv",      ladder(),
                                          "--x",   "N,D,C",      "--at", "N=1e7",      "--at",
                                          "D=1e8", "--budget",   "1e14", "--max-runs", "8"};
  std::vector<std::string> as_json = words;
  as_json.push_back("--json");
  const json plan = reply(scalelaw(as_json));
  EXPECT_LE(plan["flops"].get<double>(), 1e14);
  ASSERT_GT(plan["runs"].size(), 0u);
  EXPECT_LE(plan["runs"].size(), 8u);
  EXPECT_LT(plan["curve_after"].get<double>(), plan["curve_before"].get<double>());
  EXPECT_EQ(plan["cost"]["source"], "fitted");
  EXPECT_THAT(scalelaw(words).out, HasSubstr("share of the gain"));
  std::vector<std::string> emitted = words;
  emitted.insert(emitted.end(), {"--emit", testing::TempDir() + "/next.yaml"});
  EXPECT_THAT(scalelaw(emitted).err, HasSubstr("it takes a server"));
  EXPECT_THAT(scalelaw({"plan", "--law-file", law, "--at", "N=1e7,D=1e8", "--budget", "1e14"}).err,
              HasSubstr("sizes, budgets: name both"));
}

TEST(Rank, PutsTheFormThatExtrapolatesBestFirst) {
  const json ranking = reply(scalelaw({"rank", "--csv", ladder(), "--y", "loss", "--x", "N,D,C", "--forms",
                                       "power,chinchilla", "--factors", "3,10", "--json"}));
  ASSERT_EQ(ranking["forms"].size(), 2u);
  EXPECT_EQ(ranking["forms"][0]["form"], "chinchilla");
  EXPECT_LT(ranking["forms"][0]["error"].get<double>(), 0.02);
  EXPECT_EQ(ranking["splits"].size(), 2u);
  const Outcome text = scalelaw({"rank", "--csv", ladder(), "--y", "loss", "--x", "N,D,C", "--forms", "power"});
  EXPECT_THAT(text.out, HasSubstr("by their errors beyond what they were fitted to"));
  EXPECT_EQ(scalelaw({"rank", "--csv", ladder(), "--y", "loss", "--forms", "guess"}).exit, kBadInput);
}

TEST(Approaches, AgreeOnASurfaceThatTheyAllCanSee) {
  const json response = reply(scalelaw({"approaches", "--csv", ladder(), "--y", "loss", "--x", "N,D,C", "--draws", "60",
                                        "--approaches", "parabola,parametric", "--json"}));
  ASSERT_EQ(response["approaches"].size(), 2u);
  for (const json& one : response["approaches"]) EXPECT_NEAR(one["params"]["exponent"].get<double>(), 0.5, 0.1);
  EXPECT_FALSE(response["verdict"].get<std::string>().empty());
  EXPECT_THAT(scalelaw({"approaches", "--csv", ladder(), "--y", "loss", "--x", "N,D,C", "--draws", "60"}).out,
              HasSubstr("own bias in N*"));
}

TEST(Diagnose, NamesTheOutlierAndTheFlopConvention) {
  const std::vector<std::string> words = {"diagnose", "--csv", ladder(true), "--y", "loss",
                                          "--x",      "N,D,C", "--run",      "name"};
  std::vector<std::string> as_json = words;
  as_json.push_back("--json");
  const json diagnosis = reply(scalelaw(as_json));
  ASSERT_GE(diagnosis["outliers"].size(), 1u);
  EXPECT_EQ(diagnosis["outliers"][0]["runs"][0], "r18");
  EXPECT_NEAR(diagnosis["flops"]["ratio"].get<double>(), 6, 1e-6);
  const Outcome text = scalelaw(words);
  EXPECT_THAT(text.out, HasSubstr("C = 6·N·D"));
  EXPECT_THAT(text.out, HasSubstr("r18"));
}

TEST(Plot, OfACsvNeedsNoServer) {
  const std::string folder = testing::TempDir() + "/csv-plots";
  const Outcome outcome = scalelaw(
      {"plot", "--csv", ladder(), "--y", "loss", "--x", "N,D,C", "--figure", "contours,compute", "--out", folder});
  EXPECT_EQ(outcome.exit, kOk) << outcome.err << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("loss-contours.png"));
  EXPECT_TRUE(std::ifstream(folder + "/loss-vs-compute.svg").good());
  EXPECT_THAT(scalelaw({"plot"}).err, HasSubstr("name a STUDY, or a --csv file"));
}

}  // namespace
}  // namespace scalelaw::cli
