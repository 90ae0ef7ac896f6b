// Several processes that train one model together, each on its share of every batch (data parallel).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <torch/torch.h>

namespace scalelaw::trainer {

/// A process among its peers, by torchrun's variables RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT.
/// Without WORLD_SIZE it is alone.
struct Placement {
  int64_t rank = 0;
  int64_t count = 1;
  /// Which of its machine's processes: the index of its GPU.
  int64_t local_rank = 0;
  std::string address;
  uint16_t port = 0;

  bool alone() const { return count == 1; }
  /// The process that writes events, checkpoints and the artifact.
  bool leads() const { return rank == 0; }

  /// Throws BadRun naming the variable.
  static Placement from_environment();
};

/// The connection between them: NCCL for GPUs where libtorch has it, gloo otherwise. Every process must make the same
/// calls in the same order.
class Peers {
 public:
  /// Waits for the others for five minutes at most. Throws BadRun if this libtorch was built without gloo,
  /// std::runtime_error if they do not come. Alone, nothing is opened and the calls below do nothing.
  Peers(const Placement& placement, torch::Device device);
  ~Peers();

  /// Adds up over all processes, in place; every one gets the same bits.
  /// Throws std::runtime_error when one of them is gone.
  void sum(torch::Tensor values) const;
  /// Overwrites by the leader's values. Throws as `sum`.
  void follow_leader(torch::Tensor values) const;

 private:
  struct Group;
  std::unique_ptr<Group> group_;  // empty: alone
};

}  // namespace scalelaw::trainer
