/// What is started for an assignment. Pure.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "scalelaw/v1/workers.pb.h"
#include "worker/attempt/permission.h"
#include "worker/ids.h"

namespace scalelaw::worker {

/// Everything that the supervisor needs to start a trainer, and that a restarted worker needs to take it up again.
struct Launch {
  AttemptId attempt{};
  RunId run{};
  /// 1, 2, … within the run.
  int attempt_number = 0;
  /// What the run is, whatever the attempt: a directory of another run with the same number is not taken for this
  /// one's.
  std::string run_fingerprint;
  std::vector<std::string> argv;
  /// Added to the worker's own environment.
  std::map<std::string, std::string> environment;
  std::filesystem::path run_directory;
  /// Where its checkpoints are, beside or outside of that; made before the start, and not kept here.
  std::filesystem::path checkpoints;
  /// Machines that it is started on at the same time; more than 1: a gang that a cluster's scheduler places.
  int nodes = 1;
  /// Indices of the worker's slots; of a gang that is placed elsewhere, as many as each member has.
  std::vector<int> slots;
  ResourceLimits limits;
  /// Between SIGTERM and SIGKILL when nothing else is said.
  double grace_seconds = 30;
};
std::string to_json(const Launch& launch);
absl::StatusOr<Launch> launch_from_json(const std::string& text);

/// What a worker's slots stand for.
struct SlotShare {
  int cpu_threads = 1;
  /// Slots are GPUs: slot i is GPU i.
  bool gpus = false;
};

/// The trainer's specification, `$SCALELAW_SPEC` of docs/trainer-protocol.md.
std::string trainer_spec(const v1::Assignment& assignment);

/// The same for every attempt of a run: its command, parameters, budget, seed and inputs' names.
std::string run_fingerprint(const v1::Assignment& assignment);

/// The name of a run's checkpoints in a directory that workers share: its number, and a hash of its fingerprint, so
/// that another coordinator's run with the same number has other ones.
std::string checkpoints_name(const v1::Assignment& assignment);

/// `OMP_NUM_THREADS` and `OPENBLAS_NUM_THREADS` for the CPU share of the slots, `CUDA_VISIBLE_DEVICES` (as nvidia-smi
/// numbers them) where they are GPUs.
std::map<std::string, std::string> slot_environment(const std::vector<int>& slots, const SlotShare& share);

/// What torchrun sets, for this member of a gang of `size`: each machine starts one process, so that ranks count
/// machines. And torchrun's own defaults (`PET_…`), for a command that is `torchrun` and starts a process per slot.
std::map<std::string, std::string> gang_environment(const v1::GangMember& member, std::size_t size, std::size_t slots);

}  // namespace scalelaw::worker
