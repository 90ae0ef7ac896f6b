/// How a trainer ended, and what the coordinator is told about it. Pure.
#pragma once

#include <optional>
#include <string>

#include <absl/status/statusor.h>

#include "scalelaw/v1/workers.pb.h"
#include "worker/gpu/meter.h"
#include "worker/ids.h"

namespace scalelaw::worker {

/// Exit codes with a meaning of their own (docs/trainer-protocol.md).
inline constexpr int kCannotSucceed = 65;
inline constexpr int kInterrupted = 75;

/// The end of an attempt as its supervisor, or the cluster that it ran on, saw it.
struct Exit {
  /// Whose doing it was.
  enum class Cause {
    /// The trainer's: `code` says.
    kTrainer,
    /// The run's: trying again cannot help.
    kPermanent,
    /// The machine's.
    kInfrastructure,
    /// It was stopped before it was done, by nobody's fault: its worker was away for longer than its lease, or a
    /// cluster took its machine back.
    kStopped,
  };

  /// Of the trainer; -N for death by signal N.
  int code = 0;
  /// Says more than the code: why the trainer never ran, why its end was not seen, who ended it.
  std::string error = {};
  Cause cause = Cause::kTrainer;
  std::optional<GpuUsage> gpu = {};
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
/// anything else failed. After a stop of the coordinator's: cancelled; where the worker or the cluster stopped the
/// trainer, interrupted unless the trainer says 0 or 65. `output`: its last lines, for the
/// reason.
v1::AttemptUpdate describe_end(AttemptId attempt, const Exit& exit, const std::optional<StopRequest>& stop,
                               const std::string& output);

}  // namespace scalelaw::worker
