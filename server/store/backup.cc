#include "server/store/backup.h"

#include <fcntl.h>
#include <unistd.h>

#include <system_error>

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/Database.h>
#include <fmt/format.h>

#include "server/store/connection.h"
#include "server/store/directory_lock.h"
#include "server/store/migrations.h"

namespace scalelaw::server {

namespace fs = std::filesystem;

namespace {
constexpr int kMaxProblems = 100;
// More than are given out between a copy and its restore.
constexpr int64_t kAttemptIdsLeftOut = 100'000'000;

absl::Status failed(const char* what, const fs::path& file, const std::error_code& error) {
  const std::string message = fmt::format("{} cannot be {}: {}", file.string(), what, error.message());
  return error == std::errc::no_space_on_device ? absl::ResourceExhaustedError(message)
                                                : absl::PermissionDeniedError(message);
}

/// What a name stands for survives a crash once its directory is on disk.
void sync_directory(const fs::path& directory) {
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  fsync(descriptor);
  close(descriptor);
}

fs::path directory_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

int64_t count(Connection& connection, std::string_view sql) {
  Query query = connection.query(sql);
  query.next();
  return query.long_integer(0);
}

void find_problems(Connection& connection, DatabaseReport& report) {
  Query integrity = connection.query("PRAGMA integrity_check(100)");
  while (integrity.next()) {
    if (integrity.text(0) != "ok") report.problems.push_back(integrity.text(0));
  }
  Query references = connection.query("PRAGMA foreign_key_check");
  while (std::ssize(report.problems) < kMaxProblems && references.next()) {
    report.problems.push_back(fmt::format("row {} of {} refers to a missing row of {}", references.long_integer(1),
                                          references.text(0), references.text(2)));
  }
}

/// Ids that were given out after the copy was made must not be given out again: workers may hold such attempts.
absl::Status leave_out_attempt_ids(const fs::path& file) {
  try {
    Connection connection(file, Connection::Access::kReadWrite);
    if (absl::Status status = migrate(connection, file.string(), embedded_migrations()); !status.ok()) return status;
    connection.run(
        "INSERT OR REPLACE INTO counters SELECT 'attempts', ?1 + max(coalesce((SELECT max(id) FROM attempts), 0), "
        "coalesce((SELECT value FROM counters WHERE name = 'attempts'), 0))",
        kAttemptIdsLeftOut);
    connection.script("PRAGMA journal_mode = DELETE");
    return absl::OkStatus();
  } catch (const SQLite::Exception& broken) {
    return to_status(broken, file);
  }
}
}  // namespace

fs::path database_file(const fs::path& directory) {
  return directory / "scalelaw.db";
}

absl::StatusOr<DatabaseReport> check_database(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return absl::NotFoundError(fmt::format("there is no {}", file.string()));
  try {
    Connection connection(file, Connection::Access::kReadOnly);
    DatabaseReport report;
    if (absl::StatusOr<int> version = schema_version(connection, file.string()); version.ok()) {
      report.schema = *version;
    } else {
      return version.status();
    }
    find_problems(connection, report);
    if (report.problems.empty()) {
      report.sweeps = count(connection, "SELECT count(*) FROM sweeps");
      report.runs = count(connection, "SELECT count(*) FROM runs");
      report.points = count(connection, "SELECT count(*) FROM points");
    }
    return report;
  } catch (const SQLite::Exception& broken) {
    return to_status(broken, file);
  }
}

absl::Status back_up_database(const fs::path& file, const fs::path& copy) {
  std::error_code error;
  if (!fs::exists(file, error)) return absl::NotFoundError(fmt::format("there is no {}", file.string()));
  if (fs::exists(copy, error)) {
    return absl::AlreadyExistsError(fmt::format("{} exists and is not overwritten: name another file", copy.string()));
  }
  if (const fs::path folder = directory_of(copy); !fs::is_directory(folder, error)) {
    return absl::NotFoundError(fmt::format("there is no folder {0}: make it with `mkdir -p {0}`", folder.string()));
  }
  fs::path part = copy;
  part += ".part";
  fs::remove(part, error);
  try {
    SQLite::Database from(file.string(), SQLite::OPEN_READONLY, 5000);
    {
      SQLite::Database to(part.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
      // In one step: what others write meanwhile does not make it begin again.
      SQLite::Backup(to, from).executeStep(-1);
      // One file that needs no other beside it.
      to.exec("PRAGMA journal_mode = DELETE");
    }
  } catch (const SQLite::Exception& broken) {
    fs::remove(part, error);
    return to_status(broken, file);
  }
  fs::rename(part, copy, error);
  if (error) return failed("made", copy, error);
  sync_directory(directory_of(copy));
  return absl::OkStatus();
}

absl::StatusOr<std::string> restore_database(const fs::path& copy, const fs::path& directory) {
  const absl::StatusOr<DatabaseReport> report = check_database(copy);
  if (!report.ok()) return report.status();
  if (!report->problems.empty()) {
    return absl::DataLossError(
        fmt::format("{} is not sound ({}); nothing was changed", copy.string(), report->problems.front()));
  }
  std::error_code error;
  fs::create_directories(directory, error);
  absl::StatusOr<DirectoryLock> lock = DirectoryLock::acquire(directory);
  if (!lock.ok()) return lock.status();
  const fs::path file = database_file(directory);
  fs::path fresh = file;
  fresh += ".restored";
  fs::remove(fresh, error);
  if (absl::Status status = back_up_database(copy, fresh); !status.ok()) return status;
  if (absl::Status status = leave_out_attempt_ids(fresh); !status.ok()) return status;

  fs::path kept;
  if (fs::exists(file, error)) {
    for (int number = 1; kept.empty() || fs::exists(kept, error); ++number) {
      kept = file;
      kept += fmt::format(".replaced-{}", number);
    }
    // The log of the old database first: it must never be taken for the new one's.
    for (const char* suffix : {"-wal", "-shm"}) {
      fs::path old = file;
      old += suffix;
      fs::path aside = kept;
      aside += suffix;
      if (fs::exists(old, error)) fs::rename(old, aside, error);
      if (error) return failed("moved aside", old, error);
    }
    fs::create_hard_link(file, kept, error);
    if (error) return failed("kept", file, error);
  }
  fs::rename(fresh, file, error);
  if (error) return failed("replaced", file, error);
  sync_directory(directory);
  return kept.string();
}

}  // namespace scalelaw::server
