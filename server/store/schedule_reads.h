// What the coordinator needs from the database: everything at start, single attempts later.
#pragma once

#include <absl/status/statusor.h>

#include "server/store/connection.h"
#include "server/store/store.h"

namespace scalelaw::server {

// As the functions of Store; SQLite errors are thrown.
/// `now_ms`: milliseconds since 1970, up to which running attempts are charged.
absl::StatusOr<StoredSchedule> read_schedule(Connection& connection, int64_t now_ms);
absl::StatusOr<AttemptRecord> read_attempt(Connection& connection, AttemptId id);
absl::StatusOr<v1::Assignment> read_assignment(Connection& connection, AttemptId id);

}  // namespace scalelaw::server
