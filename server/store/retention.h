// What is kept of old curves.
#pragma once

#include <cstdint>

#include "server/store/connection.h"

namespace scalelaw::server {

/// Leaves of each curve of runs that ended before `ended_before_ms` (milliseconds since 1970) at most `points` points:
/// the first, the last, and others evenly between them by their place in the curve. At most `runs` runs at a time, so
/// that other transactions get their turn; returns how many it took. Observations and newest values are not touched.
/// Runs inside a writer's transaction.
int thin_curves(Connection& connection, int64_t ended_before_ms, int points, int runs);

}  // namespace scalelaw::server
