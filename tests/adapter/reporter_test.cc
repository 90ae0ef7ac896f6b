#include "adapter/reporter.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scalelaw::adapter {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RunFacts facts() {
  return *facts_of(json::parse(
      R"({"params": {"width": 64, "depth": 2, "batch": 10, "arch": "dit"}, "budget": {"steps": 200}, "seed": 3})"));
}
Reporter reporter(const Meaning& meaning) {
  absl::StatusOr<Reporter> made = Reporter::make(meaning, facts());
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}
std::vector<json> events(Reporter& reporter, const Record& record) {
  const absl::StatusOr<std::string> text = reporter.events(record);
  EXPECT_TRUE(text.ok()) << text.status();
  std::vector<json> events;
  std::istringstream lines(text.value_or(""));
  for (std::string line; std::getline(lines, line);) events.push_back(json::parse(line));
  return events;
}

TEST(Reporter, SpeaksTheTrainerProtocol) {
  Reporter r = reporter({.params = "12*depth*width^2", .flops_per_sample = "6*params", .samples = "step*batch"});
  EXPECT_THAT(
      events(r, {{"step", 50}, {"loss", 0.5}}),
      ElementsAre(
          json::parse(R"({"event":"start","step":49,"params":98304,"flops_per_sample":589824.0})"),
          json::parse(R"({"event":"metrics","step":50,"samples":500,"flops":294912000.0,"values":{"loss":0.5}})"),
          json::parse(R"({"event":"progress","fraction":0.25})")));
  EXPECT_EQ(events(r, {{"step", 100}, {"loss", 0.25}})[0]["event"], "metrics") << "it starts once";
}

TEST(Reporter, AStepMayBeWorkedOutAndWhatItIsMadeOfIsNoMetric) {
  Reporter r = reporter({.step = "ep*its+it"});
  EXPECT_EQ(events(r, {{"ep", 2}, {"its", 100}, {"it", 7}, {"loss", 1}})[1],
            json::parse(R"({"event":"metrics","step":207,"values":{"loss":1.0}})"));
}

TEST(Reporter, WhatAnEarlierRecordSaidStillHolds) {
  Reporter r = reporter({.metrics = {"val=vL"}});
  EXPECT_THAT(events(r, {{"vL", 3}}), IsEmpty()) << "no step is known";
  EXPECT_THAT(events(r, {{"step", 5}}), IsEmpty()) << "nothing is measured";
  EXPECT_EQ(events(r, {{"vL", 2}})[1], json::parse(R"({"event":"metrics","step":5,"values":{"val":2.0}})"));
}

TEST(Reporter, MetricsMayBeRenamedAndWorkedOutAndHaveASlash) {
  Reporter r = reporter({.metrics = {"loss", "bits=loss/ln(2)", "tail=AR_ep_loss/vL_tail"}});
  const json values =
      events(r, {{"step", 1}, {"loss", std::log(2)}, {"AR_ep_loss/vL_tail", 6}, {"lr", 1}})[1]["values"];
  EXPECT_DOUBLE_EQ(values["bits"], 1);
  EXPECT_EQ(values["tail"], 6);
  EXPECT_EQ(values.size(), 3u);
}

TEST(Reporter, WhatIsNotFiniteEndsTheRun) {
  Reporter r = reporter({});
  const absl::Status status = r.events({{"step", 7}, {"loss", NAN}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(status.message(), "loss is nan at step 7");
}

TEST(Reporter, WrongExpressionsAreNamed) {
  const auto wrong = [](const Meaning& meaning) {
    return std::string(Reporter::make(meaning, facts()).status().message());
  };
  EXPECT_THAT(wrong({.params = "12*widht"}), HasSubstr("--params: there is no 'widht'; there are: batch"));
  EXPECT_THAT(wrong({.params = "arch"}), HasSubstr("'arch' is 'dit', no number"));
  EXPECT_THAT(wrong({.params = "-1"}), HasSubstr("must be at least 0"));
  EXPECT_THAT(wrong({.step = "1+"}), HasSubstr("--step: "));
  EXPECT_THAT(wrong({.samples = "("}), HasSubstr("--samples: "));
  EXPECT_THAT(wrong({.metrics = {"a=)"}}), HasSubstr("--metric: "));
}

TEST(Filled, BracesInACommandAreTheRunsOwn) {
  EXPECT_EQ(*filled("--width={width}", facts()), "--width=64");
  EXPECT_EQ(*filled("{arch}-{depth}x{width}", facts()), "dit-2x64");
  EXPECT_EQ(*filled("{budget_steps/3:d}", facts()), "67");
  EXPECT_EQ(*filled("{seed}", facts()), "3");
  EXPECT_EQ(*filled("{{x}}", facts()), "{x}");
  EXPECT_THAT(filled("{widht}", facts()).status().message(), HasSubstr("there is no 'widht'"));
  EXPECT_THAT(filled("{width", facts()).status().message(), HasSubstr("not closed"));
}

}  // namespace
}  // namespace scalelaw::adapter
