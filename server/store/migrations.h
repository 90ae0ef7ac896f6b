// Bringing a database's schema up to date.
#pragma once

#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "server/store/connection.h"

namespace scalelaw::server {

struct Migration {
  /// `PRAGMA user_version` after it; 1, 2, … without gaps.
  int version;
  std::string name;
  std::string sql;
};

/// Those of migrations/NNNN_*.sql, in order, built into the program.
const std::vector<Migration>& embedded_migrations();

/// The version of a database that is ours or empty (0). FAILED_PRECONDITION: a newer schema than the last of
/// `migrations`, or another program's database.
absl::StatusOr<int> schema_version(Connection& connection, const std::string& file,
                                   const std::vector<Migration>& migrations = embedded_migrations());

/// Applies the migrations above the database's version, all in one transaction.
/// The errors of `schema_version`, the file untouched; DATA_LOSS if rows refer to rows that are not there.
/// SQLite errors are thrown.
absl::Status migrate(Connection& connection, const std::string& file, const std::vector<Migration>& migrations);

}  // namespace scalelaw::server
