// What a run will do: everything that its parameters decide, read in one place so that unknown names are refused.
#pragma once

#include <memory>
#include <optional>

#include "trainer/data/source.h"
#include "trainer/family.h"
#include "trainer/loop/peers.h"
#include "trainer/loop/spec.h"
#include "trainer/loop/train.h"

namespace scalelaw::trainer {

struct Plan {
  Params params;
  DataSource data;
  /// One of the two: a model to train, or its description.
  std::unique_ptr<Family> family;
  std::optional<Described> described;
  TrainingDefaults training;
  Placement placement;
  torch::Device device = torch::kCPU;

  /// Parts that a step's batch is computed in, one after another on each process; their gradients add up.
  int64_t parts = 1;
  /// bfloat16 autocast of the loss.
  bool bf16 = false;
  /// Also evaluate the newest weights, not only their average.
  bool evaluates_both = false;
  /// See DivergenceGuard.
  double diverged_above = 10;
  /// Pictures of samples over the run, the last at its end.
  int64_t sample_grids = 0;
  int64_t metrics_every = 0;  // steps; 0: a hundredth of the run
  double checkpoint_seconds = 20;

  enum class Model { kBuilt, kDescribed };
  /// Throws BadRun naming what is wrong; required inputs may be missing of a model that is only described.
  Plan(const FamilyEntry& entry, const RunSpec& spec, Model model);

  /// Sizes and costs, of a built model measured on a few held-out scenes.
  ModelFacts facts(const RunSpec& spec);

  /// Which run this is: same model, data, budget and seed. How it is computed, reported and saved does not matter.
  std::string identity(const FamilyEntry& entry, const RunSpec& spec, int64_t steps) const;
};

}  // namespace scalelaw::trainer
