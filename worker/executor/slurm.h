/// Attempts as jobs of a Slurm cluster. The worker runs on a login node; its directory lies on a file system that the
/// compute nodes share.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "worker/executor/executor.h"
#include "worker/executor/slurm_jobs.h"

namespace scalelaw::worker {

struct SlurmOptions {
  /// The worker's own program, at the same path on every node.
  std::filesystem::path program;
  SlurmRequest request;
  /// Slots of all its jobs, waiting ones included.
  int slots = 1;
  /// Of each GPU, for sweeps that ask for it: Slurm does not say. 0: not known.
  std::int64_t gpu_memory_bytes = 0;
  /// Between looks at the queue. News from the attempts' own directories needs none.
  std::chrono::milliseconds poll{10'000};
};

/// A thread of its own speaks to Slurm, for all jobs at once where Slurm allows it; what the worker calls never waits.
///
/// A job's unique name is written to the attempt's directory before it is submitted, and its id after: a submission
/// whose answer was lost, by a crash here or there, is found by that name and not repeated. Should one be repeated all
/// the same, the surplus job is cancelled, and until then its supervisor finds the directory taken and ends.
class SlurmExecutor : public Executor {
 public:
  explicit SlurmExecutor(SlurmOptions options);
  /// Leaves the jobs to the cluster.
  ~SlurmExecutor() override;

  Offer offer() const override;
  std::map<std::string, std::string> environment(const std::vector<int>& slots) const override;
  absl::Status start(const AttemptDir& dir) override;
  Observation observe(const AttemptDir& dir) override;
  bool stop(const AttemptDir& dir, std::chrono::milliseconds grace) override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Job;
  using JobPtr = std::shared_ptr<Job>;

  Job& job(const AttemptDir& dir);
  std::vector<JobPtr> open_jobs();
  void end(Job& job, Exit exit);

  // The thread's.
  void run();
  void submit(Job& job);
  void look(const std::vector<JobPtr>& jobs);
  void settle(Job& job, const SlurmJob& seen);
  void settle_missing(const std::vector<JobPtr>& missing);
  void pass_on_stops(const std::vector<JobPtr>& jobs);
  bool scancel(std::vector<std::string> options, const std::vector<std::string>& ids);
  void complain(const std::string& what);

  const SlurmOptions options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::filesystem::path, JobPtr> jobs_;
  bool woken_ = false;
  bool ending_ = false;
  // Somebody waits for what only the queue tells.
  bool urgent_ = false;
  Clock::time_point last_look_{};
  Clock::time_point last_complaint_{};
  std::thread thread_;
};

}  // namespace scalelaw::worker
