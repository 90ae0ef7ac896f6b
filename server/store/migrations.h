// Bringing a database's schema up to date.
#pragma once

#include <string>
#include <vector>

#include <absl/status/status.h>

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

/// Applies the migrations above the database's version, all in one transaction.
/// FAILED_PRECONDITION, the file untouched: a newer schema than the last migration, or another program's database.
/// SQLite errors are thrown.
absl::Status migrate(Connection& connection, const std::string& file, const std::vector<Migration>& migrations);

}  // namespace scalelaw::server
