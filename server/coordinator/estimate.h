// How long a sweep will still take, from what its runs have shown so far. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "scalelaw/v1/runs.pb.h"

namespace scalelaw::server {

/// Seconds until the last of `runs` will have ended on `slots` slots; unset while there is a run left about whose speed
/// nothing is known, where there are no slots, and where nothing is left to do.
///
/// A run's time is taken as overhead + budget / rate, both learned from the finished and running runs that are most
/// like it: the same stage and parameters, else the same stage, else (FLOPs only) any. Running runs that report their
/// own time left are believed. The rest is placed as the scheduler does it: the longest first, waiting stages after the
/// others. `now_ms`: milliseconds since 1970.
std::optional<double> sweep_seconds_left(const std::vector<v1::Run>& runs, int slots, int64_t now_ms);

/// Seconds that a running run will still take, by its own report, else by its progress; unset while unknown.
std::optional<double> run_seconds_left(const v1::Run& run, int64_t now_ms);

}  // namespace scalelaw::server
