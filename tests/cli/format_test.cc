#include "cli/format.h"

#include <gtest/gtest.h>

namespace scalelaw::cli {
namespace {

TEST(Format, FlopsAreScientificFromTenThousandOn) {
  EXPECT_EQ(format_flops(1.6e12), "1.6e12 FLOPs");
  EXPECT_EQ(format_flops(2e11), "2e11 FLOPs");
  EXPECT_EQ(format_flops(1.234e13), "1.23e13 FLOPs");
  EXPECT_EQ(format_flops(512), "512 FLOPs");
  EXPECT_EQ(format_flops(0), "0 FLOPs");
  EXPECT_EQ(format_scientific(2.5e-7), "2.5e-7");
}

TEST(Format, CountsHaveThreeDigitsAndASuffix) {
  EXPECT_EQ(format_count(183296), "183k");
  EXPECT_EQ(format_count(46100), "46.1k");
  EXPECT_EQ(format_count(1240000), "1.24M");
  EXPECT_EQ(format_count(2010000000), "2.01B");
  EXPECT_EQ(format_count(512), "512");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(999999), "1M") << "not 1000k";
  EXPECT_EQ(format_count(0), "0");
}

TEST(Format, DurationsHaveTwoUnitsAtMost) {
  EXPECT_EQ(format_duration(0.4), "0.4 s");
  EXPECT_EQ(format_duration(12.4), "12 s");
  EXPECT_EQ(format_duration(59.6), "1 m 00 s");
  EXPECT_EQ(format_duration(80), "1 m 20 s");
  EXPECT_EQ(format_duration(2 * 3600 + 5 * 60 + 7), "2 h 05 m");
  EXPECT_EQ(format_duration(76 * 3600), "3 d 4 h");
  EXPECT_EQ(format_duration(-1), "0 s");
}

TEST(Format, PercentIsNeverWholeBeforeTheEnd) {
  EXPECT_EQ(format_percent(0), "0 %");
  EXPECT_EQ(format_percent(0.0001), "1 %");
  EXPECT_EQ(format_percent(0.42), "42 %");
  EXPECT_EQ(format_percent(0.9999), "99 %");
  EXPECT_EQ(format_percent(1), "100 %");
}

TEST(Format, AReasonOfManyLinesIsItsFirstAndItsLast) {
  EXPECT_EQ(one_line("exit code 1; last output:\nTraceback\n  File x\nValueError: no\n"),
            "exit code 1; last output: … ValueError: no");
  EXPECT_EQ(one_line("a\nb"), "a b");
  EXPECT_EQ(one_line("red \033[31m"), "red  [31m") << "no orders to the terminal";
  EXPECT_EQ(one_line(""), "");
}

}  // namespace
}  // namespace scalelaw::cli
