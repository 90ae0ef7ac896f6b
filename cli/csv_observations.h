// Observations from a CSV file, for fitting without a server.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/law.h"

namespace scalelaw::cli {

/// What to read; expressions as in analysis/expression.h.
struct CsvQuery {
  /// The file; `-` is standard input.
  std::string path;
  /// What a law is of: `ROLE=COLUMN`, or `COLUMN`. Roles: N, D, C, U, M or the
  /// names that analysis::column_name gives them; any other role is a column of that name.
  std::vector<std::string> x;
  /// The column that is predicted.
  std::string y;
  /// Of a chain: the column with the loss on the way to `y`. Empty: none.
  std::string loss;
  /// `NAME=EXPRESSION`, in order; a later one may use an earlier one.
  std::vector<std::string> derive;
  /// Conditions that all have to hold.
  std::vector<std::string> where;
  /// Column with the weights of the rows. Empty: all 1.
  std::string weight;
  /// Column that names the run of each row. Empty: every row is a run of its own, named by its number.
  std::string run;
  /// A form's name or an expression, whose names are read too where they are columns.
  std::string law;
};

struct CsvData {
  std::vector<analysis::Observation> observations;
  /// The same rows with the loss for a value; empty where the query has none.
  std::vector<analysis::Observation> losses;
  /// What the law is of, as `analysis::FitOptions::x`; empty where the query leaves it to the form.
  std::vector<std::string> x;
};

/// Reads, derives, filters, checks. Roles that the query does not name are filled by columns that have a role's letter
/// or name.
/// Errors: INVALID_ARGUMENT naming the option, or the line, column and text of a bad cell; NOT_FOUND for the file;
/// FAILED_PRECONDITION where no row is left.
absl::StatusOr<CsvData> read_observations(const CsvQuery& query);

}  // namespace scalelaw::cli
