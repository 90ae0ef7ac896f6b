// What a model family is to the training loop. Read this first: the loop knows families only through it.
//
// A family owns its modules and says what its loss is, how it is evaluated and what it is made of. The loop owns
// everything that is the same for all: data order, optimizer, schedule, EMA, budget, checkpoints, events.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <nlohmann/json.hpp>

#include "trainer/data/scenes.h"
#include "trainer/nn/cost.h"
#include "trainer/params.h"

namespace scalelaw::trainer {

/// Metric name -> value. Only finite numbers.
using Values = std::map<std::string, double>;

/// Scenes that an evaluation looks at together.
inline constexpr int64_t kEvaluationBatch = 256;

/// How a family trains unless the run's parameters say otherwise; the loop reads the same names from `params`.
struct TrainingDefaults {
  /// How long to train when the run names no budget.
  int64_t samples = 200000;
  int64_t batch = 64;
  /// Peak learning rate for this model; a family states its rule over width where it sets it.
  double learning_rate = 1e-3;
  double weight_decay = 0.01;
  double beta1 = 0.9;
  double beta2 = 0.99;
  /// Largest global gradient norm.
  double clip = 1.0;
  /// Share of all steps spent warming up.
  double warmup = 0.05;
  /// `constant`, `cosine` (to zero) or `wsd` (constant, then linearly to zero over the last fifth).
  std::string schedule = "cosine";
  /// Time constant of the weight average that is evaluated, as a share of the steps so far; 0: no average.
  double ema = 0.05;
};

/// Everything a family is built from.
struct FamilyContext {
  Params& params;
  /// Artifact name -> path, as given by the specification.
  std::map<std::string, std::string> inputs;
  uint64_t seed = 1;
  torch::Device device = torch::kCPU;
  /// Of other data than scenes only the resolution means something.
  SceneParams scenes;
  CaptionShape captions = {};
  /// The run's folder, for files that are no artifacts.
  std::string directory = ".";
};

class Family {
 public:
  virtual ~Family() = default;

  /// What is trained and stored. A text encoder in it is registered as `text`. The loop optimizes the parameters that
  /// require a gradient, and checkpoints these and the buffers. Parameters are views into one flat buffer: keep no
  /// pointer to their storage, and no frozen network (a tokenizer, a scorer) inside.
  virtual torch::nn::Module& module() = 0;

  virtual TrainingDefaults defaults() const = 0;

  /// Parameters of the backbone as the family's paper counts them (without embeddings, heads, text encoder).
  virtual int64_t backbone_params() const = 0;

  /// Mean loss of a batch, a scalar to differentiate. Draw randomness from torch's default generator only: the loop
  /// seeds it for every step from (seed, step), which is what makes a resumed run equal an uninterrupted one.
  /// FLOPs are counted from one call of this on a small batch (trainer/nn/flops.h); wrap what is not training (a frozen
  /// tokenizer) in an `UncountedFlops`.
  virtual torch::Tensor loss(const Batch& batch) = 0;

  /// FLOPs that `evaluate` will spend, for the estimate of the time left. A rough figure will do.
  virtual double evaluation_flops(double forward_flops_per_sample) const = 0;

  /// The final figures on held-out images, computed with the averaged weights in place and the module in eval mode.
  /// Deterministic: draws from fixed seeds, so that runs are comparable. Calls `progress` now and then with the share
  /// done; it may throw to stop early.
  virtual Values evaluate(const Dataset& held_out, const std::function<void(double fraction)>& progress) = 0;

  /// Extra figures of the latest `loss` for the curve (accuracy, parts of the loss); asked for only when a metrics
  /// event is due.
  virtual Values training_values() { return {}; }

  /// Whether `loss` changes buffers or weights by itself: batch statistics, a codebook. With several processes all then
  /// take over the first one's after every step.
  virtual bool loss_changes_state() const { return false; }

  /// Whether `draw` gives images, for the grids that a run can leave.
  virtual bool draws() const { return false; }
  /// Images for these captions to look at, [B, 3, R, R] in [−1, 1]. Called as `evaluate` is.
  virtual torch::Tensor draw(const Batch&) { return {}; }

  /// Called before the first step of a fresh run with a training batch: data-dependent initialisation.
  virtual void initialise(const Batch&) {}
};

/// An artifact of an earlier stage that a family can use.
struct FamilyInput {
  std::string name;
  bool required = false;
  /// For `--help` and for the error when it is missing.
  std::string purpose;
};

/// Named values of a family's parameters; a run that names it (`preset`) may still set each of them.
struct Preset {
  std::string name;
  nlohmann::json params;
};

/// A model without its weights.
struct Described {
  ModelCost cost;
  TrainingDefaults training;
};

struct FamilyEntry {
  /// As in sweep files: `diffusion-dit`.
  std::string name;
  std::string summary;
  std::vector<FamilyInput> inputs;
  /// Name of the artifact that a finished run leaves (`scorer`): trained weights and resolved parameters.
  std::string artifact;
  /// Reads its parameters from the context; the caller calls `params.finish()` after all have read theirs.
  std::unique_ptr<Family> (*make)(const FamilyContext&);
  std::vector<Preset> presets = {};
  /// Reads the same parameters as `make` and builds nothing; null where describing a model means building it.
  Described (*describe)(const FamilyContext&) = nullptr;
};

/// All families, in the order of `--help` (trainer/families.cc).
const std::vector<FamilyEntry>& families();

/// Throws BadRun listing the families if there is none of that name.
const FamilyEntry& family_named(const std::string& name);

/// The family that has this preset. Throws BadRun listing the presets if there is none.
const FamilyEntry& family_of_preset(const std::string& preset);

/// `params` on top of the values of the preset that they name, if any. Throws BadRun listing the family's presets.
nlohmann::json with_preset(const FamilyEntry& entry, nlohmann::json params);

}  // namespace scalelaw::trainer
