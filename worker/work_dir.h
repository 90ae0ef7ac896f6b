/// The worker's directory.
///
///     DIR/worker.lock, worker_uid     one worker per directory; its identity over restarts
///     DIR/lease                       sign of life for supervisors
///     DIR/attempts/<attempt id>/      one per attempt that the coordinator has not recorded the end of
///     DIR/runs/<run id>/              working directory of a run's trainers; checkpoints/ inside
///     DIR/done/<attempt id>/          ended attempts, removed after a while
///     DIR/stale/                      run directories of another coordinator's runs with the same numbers
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "scalelaw/v1/workers.pb.h"
#include "worker/attempt/attempt_dir.h"
#include "worker/attempt/files.h"
#include "worker/attempt/launch.h"

namespace scalelaw::worker {

class WorkDir {
 public:
  /// Creates what is missing and takes the directory's lock. FAILED_PRECONDITION if another worker has it.
  static absl::StatusOr<WorkDir> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::string& worker_uid() const { return worker_uid_; }
  std::filesystem::path lease() const { return path_ / "lease"; }
  AttemptDir attempt(AttemptId id) const { return {path_ / "attempts" / text(id)}; }
  std::filesystem::path run_directory(RunId id) const { return path_ / "runs" / text(id); }

  /// Directories of attempts that are not done, in order of their ids.
  std::vector<AttemptDir> attempts() const;
  /// Makes the directories of an assignment's attempt and run. After an error nothing of the attempt is left.
  /// RESOURCE_EXHAUSTED when the disk is full.
  absl::Status prepare(const v1::Assignment& assignment, const Launch& launch) const;
  /// The run's next attempt here finds no checkpoint: those of an attempt whose last events the coordinator refuses
  /// would leave a gap in its curve.
  void begin_again(RunId run) const;
  /// The end of the attempt is recorded at the coordinator.
  void done(const AttemptDir& attempt) const;
  /// Removes what has been done for this long.
  void remove_done(std::chrono::seconds older_than) const;
  /// Bytes that can still be written.
  std::int64_t free_bytes() const;

 private:
  WorkDir(std::filesystem::path path, FileLock lock, std::string uid)
      : path_(std::move(path)), lock_(std::move(lock)), worker_uid_(std::move(uid)) {}
  absl::Status prepare_run_directory(const Launch& launch) const;

  std::filesystem::path path_;
  FileLock lock_;
  std::string worker_uid_;
};

}  // namespace scalelaw::worker
