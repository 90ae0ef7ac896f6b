#include "worker/sources/event_parser.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scalelaw::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const EventContext kContext{.run_directory = "/runs/7"};

v1::Record only(const std::string& line) {
  const ParsedRecords parsed = parse_events(line + "\n", kContext);
  EXPECT_EQ(parsed.records.size(), 1u) << line;
  EXPECT_EQ(parsed.consumed, line.size() + 1);
  return parsed.records.empty() ? v1::Record() : parsed.records[0];
}

TEST(EventParser, EveryEventOfTheProtocolIsRead) {
  const auto start =
      only(R"({"event":"start","params":183296,"params_total":201472,"flops_per_sample":1.76e7,"step":3})");
  EXPECT_EQ(start.start().params(), 183296);
  EXPECT_EQ(start.start().params_total(), 201472);
  EXPECT_DOUBLE_EQ(start.start().flops_per_sample(), 1.76e7);
  EXPECT_EQ(start.start().step(), 3);

  const auto metrics =
      only(R"({"event":"metrics","step":50,"samples":12800,"flops":2.25e11,"values":{"loss":0.81,"x":-1}})");
  EXPECT_EQ(metrics.metrics().step(), 50);
  EXPECT_EQ(metrics.metrics().samples(), 12800);
  EXPECT_DOUBLE_EQ(metrics.metrics().flops(), 2.25e11);
  EXPECT_DOUBLE_EQ(metrics.metrics().values().at("loss"), 0.81);
  EXPECT_DOUBLE_EQ(metrics.metrics().values().at("x"), -1);

  const auto progress = only(R"({"event":"progress","fraction":0.4,"seconds_left":12.5})");
  EXPECT_DOUBLE_EQ(progress.progress().fraction(), 0.4);
  EXPECT_DOUBLE_EQ(progress.progress().seconds_left(), 12.5);
  EXPECT_FALSE(only(R"({"event":"progress","fraction":1})").progress().has_seconds_left());

  EXPECT_EQ(only(R"({"event":"checkpoint","step":50,"path":"/elsewhere/c.pt"})").checkpoint().path(),
            "/elsewhere/c.pt");

  const auto artifact =
      only(R"({"event":"artifact","name":"scorer","path":"out/scorer.pt","kind":"model"})").artifact();
  EXPECT_EQ(artifact.name(), "scorer");
  EXPECT_EQ(artifact.path(), "/runs/7/out/scorer.pt") << "relative to the run's directory";
  EXPECT_EQ(artifact.kind(), "model");
}

TEST(EventParser, UnknownFieldsAreIgnoredAndWholeFloatsAreCounts) {
  EXPECT_EQ(only(R"({"event":"metrics","step":5e1,"samples":100.0,"values":{},"new":[1]})").metrics().step(), 50);
}

TEST(EventParser, WhatIsNoValidEventIsKeptWithTheReason) {
  EXPECT_THAT(only("Epoch 1/10").malformed(), StartsWith("not JSON: Epoch 1/10"));
  EXPECT_THAT(only("[1]").malformed(), StartsWith("not a JSON object"));
  EXPECT_THAT(only(R"({"loss":1})").malformed(), HasSubstr("no \"event\""));
  EXPECT_THAT(only(R"({"event":"bye"})").malformed(), HasSubstr("unknown event"));
  EXPECT_THAT(only(R"({"event":"metrics","step":1,"values":{"loss":NaN}})").malformed(), HasSubstr("not JSON"));
  EXPECT_THAT(only(R"({"event":"metrics","step":1,"values":{"loss":Infinity}})").malformed(), HasSubstr("not JSON"));
  EXPECT_THAT(only(R"({"event":"metrics","step":1,"values":{"loss":1e999}})").malformed(), HasSubstr("not JSON"));
  EXPECT_THAT(only(R"({"event":"metrics","step":1,"values":{"loss":null}})").malformed(),
              HasSubstr("metrics.values.loss must be a number, not null"));
  EXPECT_THAT(only(R"({"event":"metrics","step":"1","values":{}})").malformed(), HasSubstr("metrics.step"));
  EXPECT_THAT(only(R"({"event":"metrics","step":-1,"values":{}})").malformed(), HasSubstr("metrics.step"));
  EXPECT_THAT(only(R"({"event":"metrics","step":1.5,"values":{}})").malformed(), HasSubstr("metrics.step"));
  EXPECT_THAT(only(R"({"event":"metrics","values":{}})").malformed(), HasSubstr("metrics.step is missing"));
  EXPECT_THAT(only(R"({"event":"metrics","step":1})").malformed(), HasSubstr("metrics.values"));
  EXPECT_THAT(only(R"({"event":"progress","fraction":1.2})").malformed(), HasSubstr("[0, 1]"));
  EXPECT_THAT(only(R"({"event":"artifact","name":"","path":"a"})").malformed(), HasSubstr("artifact.name"));
  EXPECT_THAT(only(R"({"event":"metrics","step":18446744073709551615,"values":{}})").malformed(), HasSubstr("step"));
  EXPECT_THAT(only("\xff\xfe{").malformed(), HasSubstr("\xEF\xBF\xBD")) << "as UTF-8";
}

TEST(EventParser, ATornLineWaitsForItsEnd) {
  const std::string whole = "{\"event\":\"progress\",\"fraction\":0.5}\n";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const ParsedRecords torn = parse_events(whole.substr(0, length), kContext);
    EXPECT_EQ(torn.consumed, 0u);
    EXPECT_TRUE(torn.records.empty());
  }
  const ParsedRecords parsed = parse_events(whole + whole.substr(0, 10), kContext);
  EXPECT_EQ(parsed.consumed, whole.size());
  EXPECT_EQ(parsed.records.size(), 1u);
}

TEST(EventParser, AnUnfinishedLastLineIsMalformedOnceNothingCanFollow) {
  EventContext ended = kContext;
  ended.at_end = true;
  const ParsedRecords parsed = parse_events(R"({"event":"progress","fraction":0.5})", ended);
  ASSERT_EQ(parsed.records.size(), 1u);
  EXPECT_THAT(parsed.records[0].malformed(), HasSubstr("unfinished"));
}

TEST(EventParser, EmptyLinesAndCarriageReturnsAreNoEvents) {
  const ParsedRecords parsed = parse_events("\n\r\n  \n{\"event\":\"progress\",\"fraction\":0}\r\n", kContext);
  ASSERT_EQ(parsed.records.size(), 1u);
  EXPECT_TRUE(parsed.records[0].has_progress());
}

TEST(EventParser, ALineWithoutEndIsReportedOnceAndItsRestSkipped) {
  const std::string endless(kMaxEventLine + 1, 'x');
  const ParsedRecords first = parse_events(endless, kContext);
  EXPECT_EQ(first.consumed, endless.size());
  ASSERT_EQ(first.records.size(), 1u);
  EXPECT_THAT(first.records[0].malformed(), StartsWith("line longer than 1 MiB"));
  EXPECT_LT(first.records[0].malformed().size(), 4096u);

  EventContext inside = kContext;
  inside.mid_line = true;
  EXPECT_EQ(parse_events(endless, inside).consumed, endless.size());
  const std::string rest = "tail {\"event\":1}\n{\"event\":\"progress\",\"fraction\":1}\n";
  const ParsedRecords last = parse_events(rest, inside);
  ASSERT_EQ(last.records.size(), 1u);
  EXPECT_TRUE(last.records[0].has_progress());
  EXPECT_EQ(last.consumed, rest.size());
}

TEST(EventParser, FloodsOfGarbageAreCounted) {
  std::string garbage;
  for (int i = 0; i < 5000; ++i) garbage += "garbage\n";
  const ParsedRecords parsed = parse_events(garbage, kContext);
  EXPECT_EQ(parsed.consumed, garbage.size());
  ASSERT_EQ(parsed.records.size(), kContext.max_malformed + 1);
  EXPECT_EQ(parsed.records.back().malformed(), "and 4950 more lines that are no events");
}

TEST(EventParser, ManyEventsAreReadInPieces) {
  std::string lines;
  for (int i = 0; i < 2500; ++i) lines += "{\"event\":\"progress\",\"fraction\":0.5}\n";
  const ParsedRecords parsed = parse_events(lines, kContext);
  EXPECT_EQ(parsed.records.size(), 1000u);
  EXPECT_EQ(parsed.consumed, lines.size() / 2500 * 1000);
}

// Whatever the bytes, nothing breaks, what is consumed ends at a line, and every string is UTF-8 (or serialising
// fails).
TEST(EventParser, RandomBytesAreNeverFatal) {
  std::mt19937 random(1);
  const std::string alphabet = std::string("{}[]\":,\n\\eE.-0123456789metricsvalu\xc3\xa9\xff\0", 44);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (int i = 0; i < 200; ++i) bytes += alphabet[random() % alphabet.size()];
    const ParsedRecords parsed = parse_events(bytes, kContext);
    ASSERT_LE(parsed.consumed, bytes.size());
    ASSERT_TRUE(parsed.consumed == 0 || bytes[parsed.consumed - 1] == '\n');
    for (const v1::Record& record : parsed.records) {
      v1::Record copy;
      ASSERT_TRUE(copy.ParseFromString(record.SerializeAsString()));
    }
  }
}

}  // namespace
}  // namespace scalelaw::worker
