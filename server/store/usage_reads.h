// What studies have used, what waits, and the files that runs made.
#pragma once

#include <cstdint>
#include <vector>

#include <absl/status/statusor.h>

#include "server/store/connection.h"
#include "server/store/store.h"

namespace scalelaw::server {

std::vector<StudyUsage> read_usage(Connection& connection, int64_t now_ms);
Totals read_totals(Connection& connection);
std::vector<QueuedRuns> read_queue(Connection& connection);
absl::StatusOr<std::vector<StoredArtifact>> read_artifacts(Connection& connection, int32_t run_id);

}  // namespace scalelaw::server
