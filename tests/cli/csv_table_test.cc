#include "cli/csv_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/status/status.h"

namespace scalelaw::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

CsvTable table(const std::string& text) {
  absl::StatusOr<CsvTable> read = CsvTable::parse(text, "runs.csv");
  if (!read.ok()) throw std::runtime_error(std::string(read.status().message()));
  return *std::move(read);
}
std::string read_error(const std::string& text) {
  const absl::StatusOr<CsvTable> read = CsvTable::parse(text, "runs.csv");
  if (read.ok()) return "none";
  EXPECT_TRUE(absl::IsInvalidArgument(read.status()));
  return std::string(read.status().message());
}
std::vector<double> numbers(const CsvTable& table, const std::string& column) {
  const absl::StatusOr<Eigen::ArrayXd> values = table.numbers(column);
  if (!values.ok()) throw std::runtime_error(std::string(values.status().message()));
  return {values->begin(), values->end()};
}

TEST(CsvTable, ReadsWhatSpreadsheetsAndPandasWrite) {
  const CsvTable read = table("\xEF\xBB\xBFN,loss\r\n1e6,3.5\r\n +2 ,-4\r\n\r\n");
  EXPECT_THAT(read.columns(), ElementsAre("N", "loss"));
  EXPECT_THAT(numbers(read, "N"), ElementsAre(1e6, 2));
  EXPECT_THAT(numbers(read, "loss"), ElementsAre(3.5, -4));
  EXPECT_THAT(numbers(table(",x\n0,1\n1,2"), "x"), ElementsAre(1, 2)) << "pandas' index has no name; no last line end";
}

TEST(CsvTable, QuotedFieldsHoldCommasQuotesAndLineBreaks) {
  const CsvTable read = table("\"a, b\",c\n\"1\",\"say \"\"x\"\"\nand y\"\n2,z\n");
  EXPECT_THAT(numbers(read, "a, b"), ElementsAre(1, 2));
  EXPECT_EQ(read.cell(0, "c"), "say \"x\"\nand y");
  EXPECT_EQ(read.place(1), "runs.csv line 4");
}

TEST(CsvTable, MissingCellsAreNaN) {
  for (double value : numbers(table("a,b\n,1\nNA,1\nn/a,1\nnan,1\nnull,1\n"), "a")) EXPECT_TRUE(std::isnan(value));
}

TEST(CsvTable, BadCellsAreErrorsWithLineColumnAndText) {
  EXPECT_EQ(table("a,b\n1,2\n\n3,4x\n").numbers("b").status().message(),
            "runs.csv line 4, column 'b': '4x' is not a number");
  EXPECT_EQ(table("a,b\n1,2\n").numbers("c").status().message(), "runs.csv: no column 'c'; columns: a, b");
}

TEST(CsvTable, TextThatIsNoCsvIsRefusedWithItsLine) {
  EXPECT_EQ(read_error(""), "runs.csv: is empty");
  EXPECT_EQ(read_error("a,b\n"), "runs.csv: has a header but no rows");
  EXPECT_EQ(read_error("a,b\n1,2\n3\n"), "runs.csv: line 3: 1 fields, but the header has 2");
  EXPECT_EQ(read_error("a,b\n1,2,3\n"), "runs.csv: line 2: 3 fields, but the header has 2");
  EXPECT_EQ(read_error("a,a\n1,2\n"), "runs.csv: line 1: two columns are named 'a'");
  EXPECT_EQ(read_error("a,b\n1,\"2\n3,4\n"), "runs.csv: line 2: a quote that is not closed");
  EXPECT_THAT(read_error("a,b\n1,2\"\n"), HasSubstr("line 2: a quote inside a field"));
  EXPECT_THAT(read_error("a,b\n1,\"2\"3\n"), HasSubstr("line 2: text after a closing quote"));
}

TEST(CsvTable, RowsThatAreLeftOutTakeTheirAddedValuesAlong) {
  CsvTable read = table("a\n1\n2\n3\n");
  read.add("double", Eigen::Array3d(2, 4, 6));
  read.keep(Eigen::Array3d(0, 1, 1));
  EXPECT_THAT(numbers(read, "a"), ElementsAre(2, 3));
  EXPECT_THAT(numbers(read, "double"), ElementsAre(4, 6));
  EXPECT_EQ(read.row_number(0), 2);
  EXPECT_EQ(read.place(0), "runs.csv line 3");
  EXPECT_THAT(read.columns(), ElementsAre("a", "double"));
}

}  // namespace
}  // namespace scalelaw::cli
