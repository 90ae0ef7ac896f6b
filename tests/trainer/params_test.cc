#include "trainer/params.h"

#include <gtest/gtest.h>

#include "trainer/loop/spec.h"

namespace scalelaw::trainer {
namespace {

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const BadRun& error) {
    return error.what();
  }
  return "no error";
}

TEST(Params, WholeNumbersMayComeAsDoubles) {
  Params params(nlohmann::json::object({{"width", 64.0}}));
  EXPECT_EQ(params.integer("width", 8), 64);
  EXPECT_EQ(params.integer("depth", 3), 3);
  EXPECT_EQ(params.resolved(), nlohmann::json({{"width", 64}, {"depth", 3}}));
}

TEST(Params, ErrorsNameTheParameterAndWhatIsAllowed) {
  Params params(
      nlohmann::json::object({{"width", 64.5}, {"depth", "deep"}, {"rate", 2}, {"schedule", "linear"}, {"flag", 1}}));
  EXPECT_EQ(message_of([&] { params.integer("width", 8, 1, 100); }),
            "width: must be a whole number from 1 to 100, not 64.5");
  EXPECT_EQ(message_of([&] { params.integer("depth", 8, 1, 9); }),
            "depth: must be a whole number from 1 to 9, not \"deep\"");
  EXPECT_EQ(message_of([&] { params.number("rate", 0.1, 0, 1); }), "rate: must be a number from 0 to 1, not 2");
  EXPECT_EQ(message_of([&] {
              params.choice("schedule", "cosine", {"cosine", "wsd"});
            }),
            "schedule: must be one of cosine, wsd, not \"linear\"");
  EXPECT_EQ(message_of([&] { params.flag("flag", true); }), "flag: must be true or false, not 1");
}

TEST(Params, ListsComeAsTextAsArraysAndAsOneNumber) {
  Params params({{"text", "1,2,4"}, {"array", {0, 2.0}}, {"one", 3}, {"empty", ""}, {"word", "1,two"}, {"low", "0,1"}});
  EXPECT_EQ(params.integers("text", {}, 1, 9), (std::vector<int64_t>{1, 2, 4}));
  EXPECT_EQ(params.integers("array", {}, 0, 9), (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(params.integers("one", {}, 1, 9), (std::vector<int64_t>{3}));
  EXPECT_EQ(params.integers("absent", {5, 6}, 1, 9), (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(params.resolved()["text"], "1,2,4");
  for (const char* name : {"empty", "word", "low"}) {
    EXPECT_NE(message_of([&] {
                params.integers(name, {1, 2}, 1, 9);
              }).find("must be whole numbers from 1 to 9"),
              std::string::npos)
        << name;
  }
}

TEST(Params, UnknownNamesAreRefusedWithTheKnownOnes) {
  Params params(nlohmann::json::object({{"widht", 64}}));
  params.integer("width", 8);
  params.integer("depth", 2);
  EXPECT_EQ(message_of([&] { params.finish(); }), "widht: no such parameter; this family has depth, width");
}

TEST(Budget, BuysWholeStepsAndNeverMore) {
  EXPECT_EQ(parse_budget({{"flops", 1000}}).steps(10, 8, 1), 12);  // 100 samples
  EXPECT_EQ(parse_budget({{"samples", 100}}).steps(10, 8, 1), 12);
  EXPECT_EQ(parse_budget({{"steps", 7}}).steps(10, 8, 1), 7);
  EXPECT_EQ(parse_budget(nullptr).steps(10, 8, 80), 10);
}

TEST(Budget, IsOneNumberAboveZero) {
  EXPECT_NE(message_of([] { parse_budget({{"flops", 1}, {"steps", 2}}); }).find("exactly one"), std::string::npos);
  EXPECT_EQ(message_of([] { parse_budget({{"epochs", 1}}); }), "budget.epochs: must be flops, samples or steps");
  EXPECT_EQ(message_of([] { parse_budget({{"steps", -3}}); }), "budget.steps: must be a number above 0, not -3");
}

}  // namespace
}  // namespace scalelaw::trainer
