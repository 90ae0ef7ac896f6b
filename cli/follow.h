// Stays with a sweep until it ends.
#pragma once

#include <string>

#include "cli/session.h"
#include "scalelaw/v1/sweeps.pb.h"

namespace scalelaw::cli {

/// Shows a sweep live until it ends: redrawn in place on a terminal, lines of news elsewhere, JSON lines (a snapshot
/// each) with --json and `every_snapshot`, only the last snapshot with --json alone. A server that goes away is waited
/// for. Ctrl-C leaves the sweep as it is and says how to come back.
///
/// Returns kOk if the sweep succeeded, kFailed if it failed or was cancelled, kInterrupted, or as `report`.
int follow(Session& session, const std::string& sweep, bool every_snapshot);

}  // namespace scalelaw::cli
