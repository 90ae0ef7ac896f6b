// Who changed what: one JSON object per line, apart from the database.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>

#include <absl/status/status.h>

#include "server/access/access.h"

namespace scalelaw::server {

struct AuditEntry {
  /// `/scalelaw.v1.Sweeps/Cancel`
  std::string method = {};
  /// Absent where the call was refused.
  std::optional<Caller> caller = {};
  /// Its address, as gRPC writes it; of a refused call it is not known.
  std::string peer = {};
  /// What was asked for, as JSON text: names and ids, never contents. Empty if nothing is known of it.
  std::string request = {};
  absl::Status result = {};
};
/// Time is UTC, milliseconds since 1970.
std::string to_json_line(const AuditEntry& entry, int64_t now_ms);

/// Appends to a file that only its owner may read. Opened anew for each entry, so that it may be moved away at any time
/// (logrotate). Thread-safe.
class AuditLog {
 public:
  explicit AuditLog(std::filesystem::path file) : file_(std::move(file)) {}
  /// What cannot be written is said in the server's own log.
  void write(const AuditEntry& entry);

 private:
  const std::filesystem::path file_;
  std::mutex mutex_;
};

}  // namespace scalelaw::server
