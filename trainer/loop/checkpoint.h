// Checkpoints: everything a run needs to go on as if it had never stopped.
#pragma once

#include <optional>
#include <string>

#include <torch/torch.h>

#include "trainer/loop/divergence.h"
#include "trainer/loop/optimizer.h"

namespace scalelaw::trainer {

/// Random numbers need no place here: every step seeds its own from (seed, step), and so does the data order.
struct Checkpoint {
  /// Steps done.
  int64_t step = 0;
  AdamW::State optimizer;
  /// Sum and number of the losses since the last metrics event.
  double loss_sum = 0;
  int64_t loss_count = 0;
  DivergenceGuard::State divergence;
};

/// Where a run keeps its checkpoint: one file, replaced atomically.
std::string checkpoint_path(const std::string& directory);

/// Also stores the module's buffers. `identity` says which run this is (parameters, budget, seed).
/// Throws WriteError; the previous checkpoint is then still whole.
void save_checkpoint(const std::string& directory, const std::string& identity, const Checkpoint& checkpoint,
                     const torch::nn::Module& module);

/// Nothing if there is none. A damaged one counts as none, with a warning on standard error.
/// Throws BadRun if it belongs to a run with another identity.
std::optional<Checkpoint> load_checkpoint(const std::string& directory, const std::string& identity,
                                          torch::nn::Module& module);

}  // namespace scalelaw::trainer
