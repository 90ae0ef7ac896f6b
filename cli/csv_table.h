// A table read from a CSV file.
#pragma once

#include <Eigen/Dense>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/expression.h"

namespace scalelaw::cli {

/// Cells are text until they are asked for as numbers. Rows can be left out, and columns of numbers added.
class CsvTable : public analysis::Columns {
 public:
  /// RFC 4180: commas, double quotes where a field holds a comma, a quote (doubled) or a line break; the first line
  /// names the columns. Lines may end in CR LF or LF, a byte order mark and empty lines are skipped.
  /// `name` is what errors call the table. Errors: INVALID_ARGUMENT naming the line, for a row with too many or too few
  /// fields, a quote that is not closed or not where it belongs, and a column name that appears twice.
  static absl::StatusOr<CsvTable> parse(std::string text, const std::string& name);

  Eigen::Index rows() const override { return static_cast<Eigen::Index>(rows_.size()); }
  /// Empty cells and `NA`, `N/A`, `NaN`, `null` in any case are NaN.
  absl::StatusOr<Eigen::ArrayXd> numbers(const std::string& column) const override;
  absl::StatusOr<Eigen::ArrayXd> equals(const std::string& column, std::string_view text) const override;

  bool has(const std::string& column) const;
  /// As in the file, then those that were added.
  std::vector<std::string> columns() const;
  /// Adds a column, or replaces one.
  void add(const std::string& column, Eigen::ArrayXd values);
  /// Leaves out the rows where it is 0.
  void keep(const Eigen::ArrayXd& condition);

  /// Number of a row among the file's rows, from 1.
  int row_number(Eigen::Index row) const { return rows_[static_cast<size_t>(row)] + 1; }
  /// `runs.csv line 18`.
  std::string place(Eigen::Index row) const;
  /// Requires a column of the file. Without the blanks around it.
  std::string_view cell(Eigen::Index row, const std::string& column) const;
  /// A column of the file, not one that was added.
  bool in_file(const std::string& column) const;

 private:
  std::string name_;
  /// What the cells point into: the file, and cells that had doubled quotes.
  std::unique_ptr<const std::string> text_;
  std::unique_ptr<std::deque<std::string>> unquoted_;
  std::vector<std::string> header_;
  /// Row by row.
  std::vector<std::string_view> cells_;
  std::vector<int> lines_;
  /// Those that are left.
  std::vector<int> rows_;
  std::map<std::string, Eigen::ArrayXd> added_;
};

/// Reads a file; `-` is standard input. Errors: NOT_FOUND with the system's reason.
absl::StatusOr<CsvTable> read_csv(const std::string& path);

/// The whole file; `-` is standard input. Errors: NOT_FOUND with the system's reason.
absl::StatusOr<std::string> read_text(const std::string& path);

}  // namespace scalelaw::cli
