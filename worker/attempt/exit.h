/// How a trainer ended, and what the coordinator is told about it. Pure.
#pragma once

#include <optional>
#include <string>

#include <absl/status/statusor.h>

#include "scalelaw/v1/workers.pb.h"
#include "worker/ids.h"

namespace scalelaw::worker {

/// Exit codes with a meaning of their own (docs/trainer-protocol.md).
inline constexpr int kCannotSucceed = 65;
inline constexpr int kInterrupted = 75;

/// The end of an attempt as its supervisor saw it.
struct Exit {
  /// Of the trainer; -N for death by signal N.
  int code = 0;
  /// Set where the trainer never ran or its end was not seen: why.
  std::string error = {};
  /// Trying again cannot help.
  bool permanent = false;
  /// Not the trainer's fault.
  bool infrastructure = false;
  /// It was stopped because its worker was away for longer than its lease.
  bool orphaned = false;
};
std::string to_json(const Exit& exit);
absl::StatusOr<Exit> exit_from_json(const std::string& text);

/// Why this worker asked an attempt to stop.
struct StopRequest {
  enum class Cause { kCoordinator, kDrain };
  Cause cause = Cause::kCoordinator;
  std::string reason = {};
};
std::string to_json(const StopRequest& stop);
absl::StatusOr<StopRequest> stop_from_json(const std::string& text);

/// The trainer protocol's exit codes as an update, without offsets: 0 succeeded, 65 failed for good, 75 interrupted,
/// anything else failed. After a stop of the coordinator's: cancelled; where the worker itself stopped the trainer (it
/// drains, or was away too long), interrupted unless the trainer says 0 or 65. `output`: its last lines, for the
/// reason.
v1::AttemptUpdate describe_end(AttemptId attempt, const Exit& exit, const std::optional<StopRequest>& stop,
                               const std::string& output);

}  // namespace scalelaw::worker
