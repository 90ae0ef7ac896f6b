#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace scalelaw::cli {
namespace {

Terminal wide(int width) {
  return {true, false, width, 24};
}

TEST(Table, ColumnsLineUpAndEmptyOnesAreLeftOut) {
  std::string text =
      table({{"run", true}, {"state"}, {"reason"}}, {{{"1"}, {"done"}, {""}}, {{"12"}, {"failed"}, {""}}}, wide(80));
  EXPECT_EQ(text,
            "run  state\n"
            "  1  done\n"
            " 12  failed\n");
}

TEST(Table, ElasticColumnsGiveWay) {
  std::string text =
      table({{"name", false, true}, {"loss", true}}, {{{"width=64 depth=2 flops=1e11"}, {"0.81"}}}, wide(20));
  EXPECT_EQ(text,
            "name            loss\n"
            "width=64 dept…  0.81\n");
}

TEST(Table, IsNeverWiderThanTheTerminal) {
  std::string text = table({{"a"}, {"b"}, {"c"}}, {{{"0123456789"}, {"0123456789"}, {"0123456789"}}}, wide(17));
  EXPECT_EQ(text,
            "a           b\n"
            "0123456789  0123…\n");
}

TEST(Table, IsNotCutWhereTheOutputIsNoTerminal) {
  Terminal file;
  std::string name(300, 'x');
  EXPECT_NE(table({{"name", false, true}}, {{{name}}}, file).find(name), std::string::npos);
}

TEST(Table, ColoursDoNotShiftColumns) {
  Terminal colors = {true, true, 80, 24};
  std::string text = table({{"s"}, {"t"}}, {{{"ok", Color::kGreen}, {"x"}}, {{"failed", Color::kRed}, {"y"}}}, colors);
  EXPECT_NE(text.find("\033[32mok    \033[0m  x"), std::string::npos) << text;
}

TEST(Text, WidthCountsCharactersNotBytes) {
  EXPECT_EQ(display_width("≈ 5 %"), 5);
  EXPECT_EQ(display_width("\033[31mred\033[0m"), 3);
  EXPECT_EQ(shortened("αβγδε", 3), "αβ…");
  EXPECT_EQ(shortened("abc", 3), "abc");
}

}  // namespace
}  // namespace scalelaw::cli
