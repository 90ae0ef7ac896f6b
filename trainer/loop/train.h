// The training loop: one run of one family, from its specification to its artifact.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "trainer/family.h"
#include "trainer/loop/spec.h"

namespace scalelaw::trainer {

/// A run was asked to stop (SIGTERM, SIGINT) and has saved a checkpoint.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted after saving a checkpoint"; }
};

/// Sizes and costs of a model without training it.
struct ModelFacts {
  int64_t params = 0;
  int64_t params_total = 0;
  /// Forward and backward: three times the forward's, which are counted from what runs.
  double flops_per_sample = 0;
  int64_t batch = 0;
  /// Steps and samples that the budget buys.
  int64_t steps = 0;
  int64_t samples = 0;
  /// Parameters in force, defaults included.
  nlohmann::json resolved;
  /// Where the model was described by its shape, without building it.
  std::optional<ModelCost> cost;
};

/// By the shape alone where the family can (FamilyEntry::describe). Throws BadRun as `train`; inputs may be missing
/// then.
ModelFacts describe(const FamilyEntry& entry, const RunSpec& spec);

/// Trains, evaluates, writes events, checkpoints and the artifact. Goes on from the checkpoint directory's checkpoint.
///
/// Throws BadRun (it cannot succeed: parameters, inputs, a loss that is no longer finite), WriteError (disk full, …),
/// Interrupted after SIGTERM or SIGINT.
void train(const FamilyEntry& entry, const RunSpec& spec);

/// Makes SIGTERM and SIGINT stop the loop at the next step; otherwise they end the process as usual.
void stop_on_signals();

}  // namespace scalelaw::trainer
