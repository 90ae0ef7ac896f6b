// Fitting a CSV and predicting from a file: no server is there.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "analysis/law.h"
#include "tests/cli/run_command.h"

namespace scalelaw::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string file(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

/// Fourteen rows of loss = 2 + 300·params^−0.3, columns as their owner named them.
std::string curve() {
  std::string text = "model,params,\"train loss\"\n";
  for (int i = 0; i < 14; ++i) {
    const double params = 1e6 * std::pow(2, i);
    text += fmt::format("m{},{:.17g},{:.17g}\n", i / 2, params, 2 + 300 * std::pow(params, -0.3));
  }
  return file("curve.csv", text);
}

double parameter(const json& law, const std::string& name) {
  return law["parameters"][name]["value"];
}
json law_of(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit, kOk) << outcome.err;
  return json::parse(outcome.out, nullptr, false);
}

/// The command line on the runs of Hoffmann et al., whose right fit is known.
class PublishedRuns : public testing::Test {
 protected:
  const std::string csv_ = std::string(SCALELAW_SHARED_DATA) + "/kyo_chinchilla/df.csv";
  void SetUp() override {
    if (!std::filesystem::exists(csv_)) GTEST_SKIP() << "no published runs at " << csv_;
  }
};

TEST_F(PublishedRuns, GiveTheKnownCoefficients) {
  const json law =
      law_of(scalelaw({"fit",   "--csv",         csv_,    "--x",         "N=N",        "--x",   "D=D",
                       "--y",   "loss",          "--law", "chinchilla",  "--residual", "log",   "--objective",
                       "huber", "--huber-delta", "1e-3",  "--bootstrap", "200",        "--json"}));
  EXPECT_EQ(law["law"], "chinchilla");
  EXPECT_EQ(law["n"], 234);
  EXPECT_EQ(law["objective"]["kind"], "huber");
  EXPECT_EQ(law["objective"]["residual"], "log");
  EXPECT_EQ(law["objective"]["delta"], 1e-3);
  EXPECT_NEAR(law["objective"]["value"], 8.400931e-4, 1e-10);
  EXPECT_NEAR(parameter(law, "E"), 1.783894, 1e-5);
  EXPECT_NEAR(parameter(law, "A"), 442.164, 2e-2);
  EXPECT_NEAR(parameter(law, "B"), 1271.808, 5e-2);
  EXPECT_NEAR(parameter(law, "alpha"), 0.342626, 1e-5);
  EXPECT_NEAR(parameter(law, "beta"), 0.342002, 1e-5);
  for (const json& p : law["parameters"]) {
    EXPECT_GT(p["se"], 0);
    EXPECT_LT(p["ci95"][0], p["value"]);
    EXPECT_GT(p["ci95"][1], p["value"]);
    EXPECT_TRUE(p["identified"]);
  }
  EXPECT_TRUE(law["warnings"].is_array());
}

TEST_F(PublishedRuns, RowsAreFilteredAndColumnsDerived) {
  const json law = law_of(scalelaw({"fit",        "--csv",          csv_,          "--x",     "N=N",
                                    "--x",        "D=tokens",       "--y",         "loss",    "--law",
                                    "chinchilla", "--where",        "loss<4.9",    "--where", "C > 1e19",
                                    "--derive",   "tokens=C/(6*N)", "--bootstrap", "0",       "--json"}));
  std::ifstream rows(csv_);
  std::string line;
  std::getline(rows, line);
  int expected = 0;
  while (std::getline(rows, line)) {
    double c, n, d, loss;
    ASSERT_EQ(std::sscanf(line.c_str(), "%lf,%lf,%lf,%lf", &c, &n, &d, &loss), 4);
    if (!(loss < 4.9 && c > 1e19)) continue;
    const json& point = law["points"][static_cast<size_t>(expected++)];
    EXPECT_DOUBLE_EQ(point["x"][0], n);
    EXPECT_DOUBLE_EQ(point["x"][1], c / (6 * n));
  }
  EXPECT_EQ(law["n"], expected);
  EXPECT_LT(expected, 234);
}

TEST_F(PublishedRuns, AnExpressionGivesWhatTheBuiltInFormGives) {
  const std::string law_file = testing::TempDir() + "/expression.json";
  const json law = law_of(scalelaw({"fit", "--csv", csv_, "--x", "N=N", "--x", "tokens=D", "--y", "loss", "--law",
                                    "E + A*N^-alpha + B*tokens^-beta", "--objective", "huber", "--bootstrap", "50",
                                    "--json", "--out", law_file}));
  EXPECT_EQ(law["law"], "E + A*params^-alpha + B*tokens^-beta");
  EXPECT_NEAR(law["objective"]["value"], 8.400931e-4, 1e-10);
  EXPECT_NEAR(parameter(law, "E"), 1.783894, 1e-5);
  EXPECT_NEAR(parameter(law, "beta"), 0.342002, 1e-5);
  const json prediction = json::parse(
      scalelaw({"predict", "--law-file", law_file, "--at", "N=7e10", "--at", "tokens=1.4e12", "--json"}).out);
  EXPECT_NEAR(prediction["value"], 1.95817, 1e-4);
}

TEST_F(PublishedRuns, ColumnsInAnExpressionNeedNoNaming) {
  const json law = law_of(scalelaw({"fit", "--csv", csv_, "--y", "loss", "--law", "E + A*N^-alpha + B*D^-beta",
                                    "--param", "beta=0.1:0.3", "--bootstrap", "0", "--json"}));
  EXPECT_EQ(law["x"], json({"params", "samples"}));
  EXPECT_NEAR(parameter(law, "beta"), 0.3, 1e-9) << "the end of the interval on the side of the optimum";
}

TEST_F(PublishedRuns, AFixedParameterStays) {
  const json law = law_of(scalelaw({"fit", "--csv", csv_, "--y", "loss", "--law", "chinchilla", "--fix", "A=520.8",
                                    "--fix", "E=1.8", "--bootstrap", "50", "--json"}));
  EXPECT_EQ(parameter(law, "A"), 520.8);
  EXPECT_EQ(parameter(law, "E"), 1.8);
  EXPECT_TRUE(law["parameters"]["A"]["fixed"]);
}

TEST(FitCsv, AChainGoesByWayOfALoss) {
  const auto loss = [](double n, double d) { return 1.7 + 400 * std::pow(n, -0.34) + 410 * std::pow(d, -0.28); };
  const auto score = [](double l) { return 0.9 - 0.7 / (1 + std::exp((2.9 - l) / 0.2)); };
  std::string text = "N,D,loss,score\n";
  for (double n = 1e7; n < 2e9; n *= 3)
    for (double d = 1e9; d < 2e11; d *= 3)
      text += fmt::format("{:.17g},{:.17g},{:.17g},{:.17g}\n", n, d, loss(n, d), score(loss(n, d)));
  const std::string csv = file("chain.csv", text), law_file = testing::TempDir() + "/chain.json";
  std::vector<std::string> words = {"fit",   "--csv",  csv,      "--y",         "score", "--law", "chinchilla>sigmoid",
                                    "--out", law_file, "--json", "--bootstrap", "50"};
  EXPECT_THAT(scalelaw(words).err, HasSubstr("loss: 'chinchilla>sigmoid' goes by way of the runs' loss"));
  words.insert(words.end(), {"--loss", "loss"});
  const json law = law_of(scalelaw(words));
  EXPECT_NEAR(parameter(law, "E"), 1.7, 1e-3);
  EXPECT_NEAR(parameter(law, "L0"), 2.9, 1e-3);
  const json prediction =
      json::parse(scalelaw({"predict", "--law-file", law_file, "--at", "N=1e10", "--at", "D=1e12", "--json"}).out);
  EXPECT_NEAR(prediction["value"], score(loss(1e10, 1e12)), 1e-4);
  EXPECT_THAT(scalelaw({"fit", "--csv", csv, "--y", "score", "--loss", "loss", "--law", "chinchilla"}).err,
              HasSubstr("only a chain goes by way of a loss"));
}

TEST(FitCsv, TakesColumnsByTheirNamesAndRoles) {
  for (const std::string x : {"params", "N=params", "params=params", "N"}) {
    const json law = law_of(scalelaw({"fit", "--csv", curve(), "--x", x, "--y", "train loss", "--law", "power-floor",
                                      "--bootstrap", "20", "--json"}));
    EXPECT_EQ(law["x"], json({"params"})) << x;
    EXPECT_NEAR(parameter(law, "E"), 2, 1e-6);
    EXPECT_NEAR(parameter(law, "a"), 300, 1e-3);
    EXPECT_NEAR(parameter(law, "b"), 0.3, 1e-6);
  }
  const json other = law_of(scalelaw({"fit", "--csv", curve(), "--x", "size=params", "--y", "train loss", "--law",
                                      "power-floor", "--bootstrap", "0", "--json"}));
  EXPECT_EQ(other["x"], json({"size"}));
}

TEST(FitCsv, RowsOfOneRunAreOneClusterAndWeightsCount) {
  const json law =
      law_of(scalelaw({"fit", "--csv", curve(), "--x", "N", "--y", "train loss", "--law", "power-floor", "--run",
                       "model", "--derive", "w = 1 + (params > 1e8)", "--weight", "w", "--bootstrap", "0", "--json"}));
  EXPECT_EQ(law["points"][3]["runs"], json({"m1"}));
  const json unnamed = law_of(scalelaw({"fit", "--csv", curve(), "--x", "N", "--y", "train loss", "--law",
                                        "power-floor", "--where", "params > 3e6", "--bootstrap", "0", "--json"}));
  EXPECT_EQ(unnamed["points"][0]["runs"], json({"3"})) << "the row's number in the file";
  EXPECT_NE(law["observations_hash"], unnamed["observations_hash"]);
}

TEST(FitCsv, AWeightOfZeroLeavesARowOutOfTheFit) {
  const std::string csv = file("outlier.csv", "N,loss,w\n1e6,4,1\n4e6,3,1\n16e6,2.25,1\n64e6,1.6875,1\n1e9,100,0\n");
  const json law = law_of(scalelaw({"fit", "--csv", csv, "--x", "N", "--y", "loss", "--law", "power", "--weight", "w",
                                    "--bootstrap", "0", "--json"}));
  EXPECT_NEAR(parameter(law, "b"), std::log(0.75) / std::log(4), 1e-6);
}

TEST(FitCsv, ALawInAFilePredictsAsTheOneThatWasFitted) {
  const std::string law_file = testing::TempDir() + "/law.json";
  const Outcome fitted = scalelaw({"fit", "--csv", curve(), "--x", "N", "--y", "train loss", "--law", "power-floor",
                                   "--bootstrap", "100", "--out", law_file});
  EXPECT_EQ(fitted.exit, kOk);
  EXPECT_THAT(fitted.out, HasSubstr("Law of train loss"));
  EXPECT_THAT(fitted.out, HasSubstr("power-floor over 14 points"));
  const json prediction = json::parse(scalelaw({"predict", "--law-file", law_file, "--at", "N=1e11", "--json"}).out);
  EXPECT_NEAR(prediction["value"], 2 + 300 * std::pow(1e11, -0.3), 1e-7);
  EXPECT_EQ(prediction["at"]["params"], 1e11);
  const Outcome text = scalelaw({"predict", "--law-file", law_file, "--params", "1e8"});
  EXPECT_EQ(text.exit, kOk);
  EXPECT_THAT(text.out, HasSubstr("train loss at 100M params: 3.194"));
  EXPECT_THAT(text.out, HasSubstr("inside the fitted range"));
}

struct BadFit {
  std::vector<std::string> words;
  int exit;
  std::string message;
};

TEST(FitCsv, ErrorsNameTheOptionTheLineAndWhatExists) {
  const std::string bad = file("bad.csv", "N,loss,note\n1e6,3,x\n2e6,abc,\n0,2,\n");
  const std::string flat = file("flat.csv", "N,loss\n1e6,3\n1e6,2\n1e6,4\n1e6,2\n");
  const std::string few = file("few.csv", "N,loss\n1e6,3\n2e6,2\n");
  const std::vector<BadFit> cases = {
      {{"--csv", "/none.csv", "--y", "loss"}, kBadInput, "--csv: /none.csv: No such file"},
      {{"--csv", bad}, kBadInput, "--y"},
      {{"--csv", bad, "--y", "los", "--x", "N"}, kBadInput, "no column 'los'; columns: N, loss, note"},
      {{"--csv", bad, "--y", "loss", "--x", "N=size"}, kBadInput, "no column 'size'; columns: N, loss, note"},
      {{"--csv", bad, "--y", "loss", "--x", "N"}, kBadInput, "line 3, column 'loss': 'abc' is not a number"},
      {{"--csv", bad, "--y", "N", "--x", "N"}, kBadInput, "line 4, column 'N': must be a positive number, not '0'"},
      {{"--csv", bad, "--y", "N", "--x", "D=note"}, kBadInput, "line 2, column 'note': 'x' is not a number"},
      {{"--csv", bad, "--y", "N"}, kBadInput, "which column holds flops? Write --x C=COLUMN"},
      {{"--csv", few, "--y", "loss", "--law", "chinchilla"},
       kBadInput,
       "which column holds samples? Write --x D=COLUMN"},
      {{"--csv", few, "--y", "loss", "--x", "N", "--x", "params=N"}, kBadInput, "params is given twice"},
      {{"--csv", few, "--y", "loss", "--x", "N", "--where", "loss+1"}, kBadInput, "is no condition"},
      {{"--csv", few, "--y", "loss", "--x", "N", "--where", "loss<<1"},
       kBadInput,
       "at position 6\n  loss<<1\n       ^"},
      {{"--csv", few, "--y", "loss", "--x", "N", "--where", "loss<1"}, kFailed, "holds for none of the 2 rows"},
      {{"--csv", few, "--y", "loss", "--x", "N", "--derive", "N*2"}, kBadInput, "write NAME=EXPRESSION"},
      {{"--csv", few, "--y", "loss", "--x", "d", "--derive", "d=log(loss-3)"}, kBadInput, "line 2, d=log(loss-3)"},
      {{"--csv", few, "--y", "loss", "--x", "N", "--weight", "w"}, kBadInput, "--weight: "},
      {{"--csv", few, "--y", "loss", "--x", "N", "--run", "r"}, kBadInput, "--run: "},
      {{"--csv", few, "--y", "loss", "--x", "N", "--law", "gompertz"}, kBadInput, "known forms: power"},
      {{"--csv", curve(), "--y", "params", "--x", "N", "--law", "power", "--fix", "q=1"},
       kBadInput,
       "no parameter 'q'; its parameters: a, b"},
      {{"--csv", few, "--y", "loss", "--x", "N", "--fix", "q"}, kBadInput, "NAME=NUMBER"},
      {{"--csv", few, "--y", "loss", "--x", "N", "--param", "q=1"}, kBadInput, "NAME=LOW:HIGH"},
      {{"--csv", few, "--y", "loss", "--law", "a*N^"}, kBadInput, "at position 5\n  a*N^\n      ^"},
      {{"--csv", few, "--y", "loss", "--law", "a*tokens^-b"}, kBadInput, "none of the names"},
      {{"--csv", few, "--y", "loss", "--x", "N", "--law", "power"}, kFailed, "too few points: 2 observations"},
      {{"--csv", flat, "--y", "loss", "--x", "N", "--law", "power"}, kFailed, "every point has params = 1000000"},
      {{"--csv", few, "--y", "loss", "--metric", "loss"}, kBadInput, "no --metric"},
  };
  for (const BadFit& one : cases) {
    std::vector<std::string> words = {"fit"};
    words.insert(words.end(), one.words.begin(), one.words.end());
    const Outcome outcome = scalelaw(words);
    EXPECT_EQ(outcome.exit, one.exit) << one.message;
    EXPECT_THAT(outcome.err, HasSubstr(one.message));
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(PredictFromFile, ErrorsNameTheFileAndTheColumn) {
  EXPECT_EQ(scalelaw({"predict", "--law-file", "/none.json", "--at", "N=1"}).exit, kBadInput);
  const Outcome wrong = scalelaw({"predict", "--law-file", file("wrong.json", "{}"), "--at", "N=1"});
  EXPECT_EQ(wrong.exit, kBadInput);
  EXPECT_THAT(wrong.err, HasSubstr("wrong.json: law document"));
  const std::string law_file = testing::TempDir() + "/curve-law.json";
  scalelaw({"fit", "--csv", curve(), "--x", "N", "--y", "train loss", "--law", "power", "--out", law_file});
  EXPECT_THAT(scalelaw({"predict", "--law-file", law_file, "--at", "D=1e9"}).err, HasSubstr("no column 'samples'"));
  EXPECT_THAT(scalelaw({"predict", "--law-file", law_file, "--at", "N=-1"}).err, HasSubstr("must be positive"));
  EXPECT_THAT(scalelaw({"predict", "--law-file", law_file, "--at", "N"}).err, HasSubstr("write NAME=NUMBER"));
}

}  // namespace
}  // namespace scalelaw::cli
