// Runs that were trained elsewhere, into the database. Inside a writer's transaction.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/store/connection.h"
#include "server/store/store.h"

namespace scalelaw::server {

/// The stage of a sweep that holds imported runs.
inline constexpr std::string_view kImportedStage = "imported";

/// `now_ms`: milliseconds since 1970, where the runs themselves do not say when they were trained.
void write_imported(Connection& connection, const ImportedRuns& imported, int64_t now_ms);

}  // namespace scalelaw::server
