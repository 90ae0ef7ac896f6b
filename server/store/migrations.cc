#include "server/store/migrations.h"

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
// `PRAGMA application_id` of our databases: "SCLW". `file` shows it, and it keeps us from adopting a foreign database.
constexpr int kApplicationId = 0x53434c57;

int pragma(Connection& connection, const char* sql) {
  Query query = connection.query(sql);
  query.next();
  return query.integer(0);
}
}  // namespace

absl::StatusOr<int> schema_version(Connection& connection, const std::string& file,
                                   const std::vector<Migration>& migrations) {
  const int version = pragma(connection, "PRAGMA user_version");
  const int application = pragma(connection, "PRAGMA application_id");
  const int tables = pragma(connection, "SELECT count(*) FROM sqlite_schema");
  const int newest = migrations.empty() ? 0 : migrations.back().version;
  if (version > newest) {
    return absl::FailedPreconditionError(
        fmt::format("{} has schema {}, written by a newer scalelaw; this one knows schemas up to {}. It was left as it "
                    "is: install the newer version",
                    file, version, newest));
  }
  if (tables > 0 && application != kApplicationId) {
    return absl::FailedPreconditionError(fmt::format(
        "{} is another program's database; it was left as it is. Name another directory with --data", file));
  }
  return version;
}

absl::Status migrate(Connection& connection, const std::string& file, const std::vector<Migration>& migrations) {
  const absl::StatusOr<int> version = schema_version(connection, file, migrations);
  if (!version.ok()) return version.status();
  const int newest = migrations.empty() ? 0 : migrations.back().version;
  // WAL is a property of the file, set outside of transactions, and only once it is known to be ours.
  connection.script("PRAGMA journal_mode = WAL");
  if (*version == newest) return absl::OkStatus();
  // A table that others refer to may have to be made anew; whether all references hold is checked before the commit.
  connection.script("PRAGMA foreign_keys = OFF");
  connection.script("BEGIN IMMEDIATE");
  for (const Migration& migration : migrations) {
    if (migration.version <= *version) continue;
    connection.script(migration.sql);
  }
  connection.script(fmt::format("PRAGMA application_id = {}", kApplicationId));
  connection.script(fmt::format("PRAGMA user_version = {}", newest));
  bool broken = false;
  {
    Query check = connection.query("PRAGMA foreign_key_check");
    broken = check.next();
  }
  connection.script(broken ? "ROLLBACK" : "COMMIT");
  connection.script("PRAGMA foreign_keys = ON");
  if (!broken) return absl::OkStatus();
  return absl::DataLossError(fmt::format(
      "{} has rows that refer to rows which are not there; it keeps its schema {}. Restore a backup", file, *version));
}

}  // namespace scalelaw::server
