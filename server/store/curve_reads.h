// Curves of many runs at once, thinned where they are read: what a plot of a sweep shows.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "server/store/connection.h"
#include "server/store/store.h"

namespace scalelaw::server {

std::vector<std::string> read_reported_metrics(Connection& connection, int32_t sweep_id);
absl::StatusOr<ThinnedCurves> read_thinned_curves(Connection& connection, const CurveQuery& query);

}  // namespace scalelaw::server
