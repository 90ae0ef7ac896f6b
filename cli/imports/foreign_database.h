// An SQLite database of another program: read, never written, whatever its own program is doing.
#pragma once

#include <string>

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include "absl/status/statusor.h"

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

}  // namespace scalelaw::cli
