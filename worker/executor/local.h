/// Attempts as processes of this machine, each under a supervisor.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>

#include "worker/attempt/launch.h"
#include "worker/executor/executor.h"

namespace scalelaw::worker {

class LocalExecutor : public Executor {
 public:
  /// `program` is run as `program supervise ATTEMPT_DIR`: the worker's own executable. 0 slots: as many as there are
  /// GPUs, or CPU cores where there is none.
  explicit LocalExecutor(std::filesystem::path program, int slots = 0);

  Offer offer() const override;
  std::map<std::string, std::string> environment(const std::vector<int>& slots) const override;
  absl::Status start(const AttemptDir& dir) override;
  Observation observe(const AttemptDir& dir) override;
  bool stop(const AttemptDir& dir, std::chrono::milliseconds grace) override;

 private:
  struct Child {
    pid_t pid = 0;
    int starts = 0;
  };
  void reap();
  Observation without_supervisor(const AttemptDir& dir);

  std::filesystem::path program_;
  int slots_ = 1;
  SlotShare share_;
  std::string gpu_model_;
  std::int64_t gpu_memory_bytes_ = 0;
  // Supervisors that this process started, by attempt directory; pid 0 once they have ended.
  std::map<std::filesystem::path, Child> children_;
};

}  // namespace scalelaw::worker
