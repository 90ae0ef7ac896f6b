/// Where attempts run.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

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

  /// What it can run at once.
  struct Offer {
    int slots = 1;
    /// Of the worker, for sweeps that ask for them.
    std::map<std::string, std::string> labels = {};
    /// The GPUs' name and the memory of the smallest; empty and 0 where slots are no GPUs, or nobody knows.
    std::string gpu_model = {};
    std::int64_t gpu_memory_bytes = 0;
    /// A gang is one attempt here, whatever machines it is spread over.
    bool places_gangs = false;
    /// What a slot stands for, for people.
    std::string slot = {};
  };

  virtual ~Executor() = default;
  virtual Offer offer() const = 0;
  /// What a trainer on these slots finds in its environment.
  virtual std::map<std::string, std::string> environment(const std::vector<int>& slots) const = 0;
  /// Starts the attempt; for one that was already started, even by another worker process, does nothing.
  virtual absl::Status start(const AttemptDir& dir) = 0;
  /// How it stands now. An attempt whose start got lost on the way is started again.
  virtual Observation observe(const AttemptDir& dir) = 0;
  /// SIGTERM, and SIGKILL after `grace` (0: at once), for all processes of the attempt; one that has not begun to run
  /// never will. Calling again can only shorten the time. False if it could not be passed on yet: ask again.
  virtual bool stop(const AttemptDir& dir, std::chrono::milliseconds grace) = 0;
};

}  // namespace scalelaw::worker
