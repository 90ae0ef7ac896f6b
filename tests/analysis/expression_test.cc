#include "analysis/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "absl/status/status.h"

namespace scalelaw::analysis {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Three rows of numbers, and one column of text.
class Rows : public Columns {
 public:
  Eigen::Index rows() const override { return 3; }
  absl::StatusOr<Eigen::ArrayXd> numbers(const std::string& column) const override {
    static const std::map<std::string, Eigen::Array3d> kColumns = {
        {"a", {1, 2, 3}}, {"b", {4, 5, std::numeric_limits<double>::quiet_NaN()}}, {"Seen Examples", {10, 100, 1000}}};
    const auto found = kColumns.find(column);
    if (found == kColumns.end()) return absl::InvalidArgumentError("no column '" + column + "'");
    return Eigen::ArrayXd(found->second);
  }
  absl::StatusOr<Eigen::ArrayXd> equals(const std::string& column, std::string_view text) const override {
    if (column != "task") return absl::InvalidArgumentError("no column '" + column + "'");
    return Eigen::ArrayXd(Eigen::Array3d(text == "C4", text == "RPJ", text == "C4"));
  }
};

std::vector<double> values(const std::string& text) {
  const absl::StatusOr<Expression> expression = parse_expression(text);
  if (!expression.ok()) throw std::runtime_error(std::string(expression.status().message()));
  const absl::StatusOr<Eigen::ArrayXd> result = evaluate(*expression, Rows());
  if (!result.ok()) throw std::runtime_error(std::string(result.status().message()));
  return {result->begin(), result->end()};
}
double value(const std::string& text) {
  return values(text)[0];
}
std::string error(const std::string& text) {
  const absl::StatusOr<Expression> expression = parse_expression(text);
  if (expression.ok()) return "none";
  EXPECT_TRUE(absl::IsInvalidArgument(expression.status()));
  return std::string(expression.status().message());
}

TEST(Expression, BindsAsOnPaper) {
  EXPECT_EQ(value("1 + 2*3"), 7);
  EXPECT_EQ(value("(1 + 2)*3"), 9);
  EXPECT_EQ(value("10 - 4 - 3"), 3);
  EXPECT_EQ(value("24/4/2"), 3);
  EXPECT_EQ(value("2^3^2"), 512);
  EXPECT_EQ(value("-2^2"), -4);
  EXPECT_EQ(value("2^-1"), 0.5);
  EXPECT_EQ(value("2*-3"), -6);
  EXPECT_EQ(value("1 - -1"), 2);
  EXPECT_EQ(value("1e-3*1E3"), 1);
  EXPECT_EQ(value(".5 + 1."), 1.5);
  EXPECT_EQ(value("2·3 − 1"), 5);
}

TEST(Expression, HasItsFunctions) {
  EXPECT_EQ(value("exp(0) + sqrt(16) + abs(-3) + min(1, 2) + max(1, 2)"), 11);
  EXPECT_DOUBLE_EQ(value("ln(exp(2))"), 2);
  EXPECT_DOUBLE_EQ(value("log(exp(2))"), 2);
  EXPECT_DOUBLE_EQ(value("log10(1000)"), 3);
}

TEST(Expression, IsEvaluatedForEveryRow) {
  EXPECT_THAT(values("2*a"), ElementsAre(2, 4, 6));
  EXPECT_THAT(values("a*\"Seen Examples\""), ElementsAre(10, 200, 3000));
}

TEST(Expression, ConditionsAreOneOrZeroAndFalseForEmptyCells) {
  EXPECT_THAT(values("a >= 2"), ElementsAre(0, 1, 1));
  EXPECT_THAT(values("b > 0"), ElementsAre(1, 1, 0));
  EXPECT_THAT(values("a < 2 || a > 2"), ElementsAre(1, 0, 1));
  EXPECT_THAT(values("a != 2 && !(a == 3)"), ElementsAre(1, 0, 0));
  EXPECT_THAT(values("a + 1 <= 2*a && a < 3"), ElementsAre(1, 1, 0));
}

TEST(Expression, TextIsComparedWithColumns) {
  EXPECT_THAT(values("task == 'C4'"), ElementsAre(1, 0, 1));
  EXPECT_THAT(values("'C4' != task && a > 0"), ElementsAre(0, 1, 0));
  EXPECT_THROW(values("a + 'C4'"), std::runtime_error);
}

TEST(Expression, ErrorsPointAtThePlace) {
  EXPECT_EQ(error("E + A*N^"), "expected a number, a name or '(' at position 9\n  E + A*N^\n          ^");
  EXPECT_EQ(error("α + )"), "expected a number, a name or '(' at position 5\n  α + )\n      ^");
  EXPECT_THAT(error("(1 + 2"), HasSubstr("expected ')' at position 7"));
  EXPECT_THAT(error("6N"), HasSubstr("expected an operator after the number at position 2"));
  EXPECT_THAT(error("a b"), HasSubstr("expected an operator at position 3"));
  EXPECT_THAT(error("loss = 3"), HasSubstr("expected an operator at position 6"));
  EXPECT_THAT(error("sin(a)"), HasSubstr("no function 'sin'; functions: exp log ln"));
  EXPECT_THAT(error("min(a)"), HasSubstr("min takes 2 arguments"));
  EXPECT_THAT(error("exp(a, a)"), HasSubstr("exp takes 1 argument"));
  EXPECT_THAT(error("1 < a < 2"), HasSubstr("comparisons do not chain"));
  EXPECT_THAT(error("\"open"), HasSubstr("expected a closing \" at position 1"));
  EXPECT_THAT(error(""), HasSubstr("expected a number, a name or '('"));
  EXPECT_THAT(error("1e999"), HasSubstr("expected a number"));
  EXPECT_THAT(error(std::string(1000, '(')), HasSubstr("nested too deeply"));
  EXPECT_THAT(error(std::string(1000, '-') + "1"), HasSubstr("nested too deeply"));
  EXPECT_THAT(error(std::string(5000, '1')), HasSubstr("at most 4000 characters"));
}

TEST(Expression, TextOfItParsesIntoItAgain) {
  for (const char* text :
       {"E + A*N^-alpha + B*D^-beta", "a - (b - c)", "a - b - c", "(a + b)*c", "a/(b*c)", "-x^2", "(-x)^2", "2^3^4",
        "(2^3)^4", "-(a + b)", "!(a < b) && c == 'it''s' || d >= 1e-30", "exp(-k*\"Seen Examples\")",
        "min(a, max(b, c))", "1.4e+20*x", "(a < b)*3", "a^(b*c)", "a^-(b/c)", "log(a)/log10(b)"}) {
    const absl::StatusOr<Expression> parsed = parse_expression(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(to_text(*parsed), text);
  }
}

TEST(Expression, NamesComeInOrderAndOnce) {
  EXPECT_THAT(names(*parse_expression("E + A*N^-alpha + A/N")), ElementsAre("E", "A", "N", "alpha"));
}

}  // namespace
}  // namespace scalelaw::analysis
