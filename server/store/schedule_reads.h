// What the coordinator needs from the database: everything at start, single attempts later.
#pragma once

#include <absl/status/statusor.h>

#include "server/store/connection.h"
#include "server/store/store.h"

namespace scalelaw::server {

// As the functions of Store; SQLite errors are thrown.
absl::StatusOr<StoredSchedule> read_schedule(Connection& connection);
absl::StatusOr<AttemptRecord> read_attempt(Connection& connection, AttemptId id);
absl::StatusOr<v1::Assignment> read_assignment(Connection& connection, AttemptId id);

}  // namespace scalelaw::server
