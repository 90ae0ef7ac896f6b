#include "server/store/connection.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace scalelaw::server {

namespace {
constexpr int kBusyTimeoutMs = 5000;

int flags_of(Connection::Access access) {
  return access == Connection::Access::kReadWrite ? SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE
                                                  : SQLite::OPEN_READONLY;
}
}  // namespace

Connection::Connection(const std::filesystem::path& file, Access access)
    : database_(file.string(), flags_of(access) | SQLite::OPEN_NOMUTEX, kBusyTimeoutMs) {}

bool Connection::in_transaction() const {
  return sqlite3_get_autocommit(const_cast<SQLite::Database&>(database_).getHandle()) == 0;
}

SQLite::Statement& Connection::prepared(std::string_view sql) {
  std::unique_ptr<SQLite::Statement>& statement = statements_[sql];
  if (statement == nullptr) {
    statement = std::make_unique<SQLite::Statement>(database_, std::string(sql));
  } else {
    statement->tryReset();
    statement->clearBindings();
  }
  return *statement;
}

namespace {
template <class T>
void bind_or_null(SQLite::Statement& statement, int index, const std::optional<T>& value) {
  if (value.has_value()) {
    statement.bind(index, *value);
  } else {
    statement.bind(index);
  }
}
}  // namespace

void Connection::bind(SQLite::Statement& statement, int index, const std::optional<int32_t>& value) {
  bind_or_null(statement, index, value);
}
void Connection::bind(SQLite::Statement& statement, int index, const std::optional<int64_t>& value) {
  bind_or_null(statement, index, value);
}
void Connection::bind(SQLite::Statement& statement, int index, const std::optional<double>& value) {
  bind_or_null(statement, index, value);
}
void Connection::bind(SQLite::Statement& statement, int index, const std::optional<std::string>& value) {
  bind_or_null(statement, index, value);
}

absl::Status to_status(const SQLite::Exception& error, const std::filesystem::path& file) {
  const std::string name = file.string();
  switch (error.getErrorCode() & 0xff) {
    case SQLITE_NOTADB:
      return absl::DataLossError(
          fmt::format("{} is not a SQLite database; it was left as it is. Move it away, or name "
                      "another directory with --data",
                      name));
    case SQLITE_CORRUPT:
      return absl::DataLossError(
          fmt::format("{} is corrupt ({}); nothing was changed. Restore a backup, or save what "
                      "is readable with `sqlite3 {} .recover`",
                      name, error.what(), name));
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(fmt::format("the disk of {} is full: make room", name));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(fmt::format("{} cannot be written ({})", name, error.what()));
    case SQLITE_CANTOPEN:
      return absl::PermissionDeniedError(fmt::format("{} cannot be opened ({})", name, error.what()));
    case SQLITE_IOERR:
      return absl::UnavailableError(fmt::format("input/output error on {} ({})", name, error.what()));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(fmt::format("{} is locked by another program", name));
    case SQLITE_CONSTRAINT:
      return absl::InternalError(fmt::format("{} refused a row ({})", name, error.what()));
    default:
      return absl::InternalError(
          fmt::format("{}: {} (SQLite code {})", name, error.what(), error.getExtendedErrorCode()));
  }
}

bool may_pass(const SQLite::Exception& error) {
  switch (error.getErrorCode() & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
      return true;
    default:
      return false;
  }
}

}  // namespace scalelaw::server
