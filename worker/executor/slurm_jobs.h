/// What is said to Slurm, and what it says. Pure.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "worker/attempt/attempt_dir.h"
#include "worker/attempt/exit.h"
#include "worker/attempt/launch.h"

namespace scalelaw::worker {

/// How attempts ask for their share of the cluster; empty texts leave the choice to Slurm.
struct SlurmRequest {
  std::string partition = {};
  std::string account = {};
  std::string qos = {};
  /// As `sbatch --time` takes it: minutes, h:mm:ss, d-hh.
  std::string time_limit = {};
  int cpus_per_slot = 1;
  /// Per slot: `gpu`, `gpu:h200`, `gpu:h200:1`.
  std::string gres_per_slot = {};
  /// Per slot: `32G`.
  std::string memory_per_slot = {};
  /// Words of the user's own, after all others.
  std::vector<std::string> extra = {};
};

/// The model that a GPU's resource names: `h200` of `gpu:h200:1`; empty if it names none.
std::string gpu_model(const std::string& gres);
/// `gpu:h200:1` for 3 slots: `gpu:h200:3`. INVALID_ARGUMENT for a count that is no number.
absl::StatusOr<std::string> times_slots(const std::string& gres, int slots);

/// The words of `sbatch` for an attempt, which must be named `name`. The job is never requeued by Slurm: the
/// coordinator does that, with a new attempt. SIGUSR1 comes ahead of the time limit by the grace time and a bit.
std::vector<std::string> sbatch_arguments(const SlurmRequest& request, const Launch& launch, const AttemptDir& dir,
                                          const std::string& name);
/// The words of `srun` in the job of a gang: each node runs `worker_program gang-member ATTEMPT_DIR`. When one of these
/// fails, Slurm ends the others.
std::vector<std::string> srun_arguments(const std::filesystem::path& worker_program, const Launch& launch,
                                        const AttemptDir& dir);
/// The job itself, for its standard input.
std::string batch_script(const std::filesystem::path& worker_program, const AttemptDir& dir);

/// Whether a failed `sbatch` may have submitted the job all the same, or would do so another time: the controller did
/// not answer, or a limit on the queue is reached.
bool worth_another_try(const std::string& sbatch_errors);

struct SlurmJob {
  std::string id;
  /// As squeue's `%T`: PENDING, RUNNING, NODE_FAIL, …
  std::string state;
  std::string reason;
  std::string nodes;
};
/// Jobs by name; several of one name where a submission was repeated because nobody saw that it had succeeded.
using SlurmJobs = std::multimap<std::string, SlurmJob>;

/// The words of `squeue` that list all jobs of this user, and what it answers. Other lines are skipped.
std::vector<std::string> squeue_arguments();
SlurmJobs parse_squeue(const std::string& output);
/// The same of `sacct`, for jobs that squeue has forgotten.
std::vector<std::string> sacct_arguments(const std::vector<std::string>& ids);
SlurmJobs parse_sacct(const std::string& output);

/// Nothing of the job runs, and nothing ever will.
bool is_over(const SlurmJob& job);

/// The end of an attempt whose job is over. `exit`: what its supervisor wrote; nothing if it was killed before it
/// could. `began`: there was one.
Exit end_of_job(const SlurmJob& job, const std::optional<Exit>& exit, bool began);

}  // namespace scalelaw::worker
