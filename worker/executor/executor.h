/// Where attempts run.
#pragma once

#include <chrono>
#include <optional>

#include <absl/status/status.h>

#include "worker/attempt/attempt_dir.h"
#include "worker/attempt/exit.h"

namespace scalelaw::worker {

/// Runs what an attempt's directory describes. What it started goes on when the executor, or the worker, is gone; all
/// that it must remember lies in the directory. Not thread-safe.
class Executor {
 public:
  enum class Phase { kStarting, kRunning, kEnded };
  struct Observation {
    Phase phase = Phase::kStarting;
    /// For kEnded: nothing of the attempt is alive any more.
    std::optional<Exit> exit;
  };

  virtual ~Executor() = default;
  /// Starts the attempt; for one that was already started, even by another worker process, does nothing.
  virtual absl::Status start(const AttemptDir& dir) = 0;
  /// How it stands now. An attempt whose start got lost on the way is started again.
  virtual Observation observe(const AttemptDir& dir) = 0;
  /// SIGTERM, and SIGKILL after `grace` (0: at once), for all processes of the attempt. Calling again can only shorten
  /// the time. False if it could not be passed on yet: ask again.
  virtual bool stop(const AttemptDir& dir, std::chrono::milliseconds grace) = 0;
};

}  // namespace scalelaw::worker
