/// The small process between a worker and a trainer: `scalelaw-worker supervise ATTEMPT_DIR`, or
/// `scalelaw-worker supervise-job ATTEMPT_DIR` where a cluster's scheduler started it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <absl/status/statusor.h>

#include "worker/executor/process_table.h"

namespace scalelaw::worker {

/// Who works in an attempt's directory (supervisor.json).
struct Supervised {
  std::string boot;
  ProcessId supervisor;
  ProcessId trainer;
};
absl::StatusOr<Supervised> supervised_from_json(const std::string& text);

/// A real-time signal: unlike SIGTERM it is queued, so that a second stop is not lost in an unread first.
int stop_signal();

/// Who may end the trainer besides its worker.
enum class Supervision {
  /// The supervisor, when the worker's lease has run out.
  kUnderLease,
  /// A cluster's scheduler: SIGUSR1 announces the end of the job's time, SIGTERM the end itself. No lease: what the
  /// machine does is the cluster's to decide.
  kClusterJob,
};

/// Starts the trainer of launch.json in a process group of its own, waits for it, kills whatever it leaves behind, and
/// then writes exit.json. Outlives the worker: a restarted one reads the file.
///
/// SIGTERM stops the trainer: SIGTERM to its group, SIGKILL after launch.json's grace time. stop_signal() brings the
/// grace time along (sigqueue, milliseconds; 0: at once). Only one supervisor works in a directory, and only one
/// trainer in a run's directory; a second call for the same attempt does nothing. Returns the exit status of the
/// process: for a cluster's job the trainer's (128 + N for death by signal N), which is what people see there.
int supervise(const std::filesystem::path& attempt_dir, Supervision supervision);

}  // namespace scalelaw::worker
