// An SQLite database of another program: read, never written, whatever its own program is doing.
#pragma once

#include <string>

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "absl/status/statusor.h"
#include "cli/imports/foreign_run.h"

namespace scalelaw::cli {

/// Runs `read` on the database. Errors: NOT_FOUND where there is no file; INVALID_ARGUMENT where it is no database of
/// `program`, saying which table or column it lacks.
template <class Read>
auto read_database(const std::string& path, const std::string& program, const Read& read)
    -> decltype(read(std::declval<SQLite::Database&>())) {
  try {
    SQLite::Database database(path, SQLite::OPEN_READONLY, 5000);
    return read(database);
  } catch (const SQLite::Exception& error) {
    if (error.getErrorCode() == SQLITE_CANTOPEN) return absl::NotFoundError(path + ": there is no such file");
    return absl::InvalidArgumentError(path + ": is no SQLite database of " + program + " (" + error.what() + ")");
  }
}

/// INVALID_ARGUMENT with the names that there are, as `names` selects them, where the experiment asked for is not.
inline absl::Status check_experiment(SQLite::Database& database, const ForeignSource& source, const char* names) {
  if (source.experiment.empty()) return absl::OkStatus();
  std::vector<std::string> found;
  SQLite::Statement row(database, names);
  while (row.executeStep()) {
    found.push_back(row.getColumn(0).getString());
    if (found.back() == source.experiment) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(fmt::format("--experiment: {} has no '{}'; there are: {}", source.path,
                                                source.experiment, fmt::join(found, ", ")));
}

}  // namespace scalelaw::cli
