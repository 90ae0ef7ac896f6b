// Copies of the database, and whether it is sound. Beside a running server or without one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

namespace scalelaw::server {

/// What a check found; sound if there are no problems.
struct DatabaseReport {
  int schema = 0;
  int64_t sweeps = 0;
  int64_t runs = 0;
  int64_t points = 0;
  /// Of the file and of rows that refer to missing ones, at most 100.
  std::vector<std::string> problems;
};

/// Reads all of it and changes nothing. NOT_FOUND; DATA_LOSS where it cannot even be read, FAILED_PRECONDITION for
/// another program's database or a newer schema, PERMISSION_DENIED.
absl::StatusOr<DatabaseReport> check_database(const std::filesystem::path& file);

/// Copies the database as of one moment, while a server may be writing to it; nobody waits. `copy` appears whole or not
/// at all, as one file. ALREADY_EXISTS, never overwritten; the errors of `check_database`; RESOURCE_EXHAUSTED disk
/// full.
absl::Status back_up_database(const std::filesystem::path& file, const std::filesystem::path& copy);

/// Makes the copy DIR/scalelaw.db. What was there is kept beside it, as scalelaw.db.replaced-1 (or the next free
/// number), which is returned; empty if nothing was there. ALREADY_EXISTS naming the server that holds DIR; DATA_LOSS
/// if the copy is not sound, in which case nothing is changed.
absl::StatusOr<std::string> restore_database(const std::filesystem::path& copy, const std::filesystem::path& directory);

/// DIR/scalelaw.db.
std::filesystem::path database_file(const std::filesystem::path& directory);

}  // namespace scalelaw::server
