// From a sweep as written to the runs it stands for. Pure: no clock, no file, no database.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include <absl/status/statusor.h>
#include <google/protobuf/struct.pb.h>

#include "scalelaw/v1/sweeps.pb.h"

namespace scalelaw::server {

/// Most runs of one sweep.
inline constexpr int64_t kMaxRunsPerSweep = 100'000;

struct FlopsBudget {
  double flops = 0;
};
struct SamplesBudget {
  int64_t samples = 0;
};
struct StepsBudget {
  int64_t steps = 0;
};
/// What a run may spend; `monostate` leaves it to the trainer.
using RunBudget = std::variant<std::monostate, FlopsBudget, SamplesBudget, StepsBudget>;

struct ExpandedRun {
  /// What varies in the stage, then budget and seed: `width=64 depth=2 flops=1e11 seed=1`. Unique within the stage.
  std::string name;
  /// The stage's `params`, overridden by its list entry, overridden by its grid values.
  google::protobuf::Struct params;
  RunBudget budget;
  int64_t seed = 1;
  /// SHA-256 (64 hex digits) of command, params, budget, seed and the content keys of its inputs. Two runs of a study
  /// with the same key are the same training, whatever their sweep, stage and name.
  std::string content_key;
};

struct ArtifactNeed {
  std::string artifact;
  /// Index into `Expansion::stages`; that stage has exactly one run.
  int stage = 0;
};

struct ExpandedStage {
  std::string name;
  std::string study;
  std::vector<ArtifactNeed> needs;
  /// The argv; `{"scalelaw-train", family}` for the built-in families, `{"scalelaw-adapt", …}` with a source.
  std::vector<std::string> command;
  /// On each worker; `workers` above 1 is a gang.
  uint32_t slots = 1;
  std::map<std::string, std::string> labels;
  uint32_t workers = 1;
  /// In lower case.
  std::string gpu_model;
  int64_t gpu_memory_bytes = 0;
  uint32_t max_retries = 2;
  double backoff_seconds = 1;
  bool holdout = false;
  v1::EarlyStopping early_stopping = {};
  std::vector<ExpandedRun> runs;
};

struct Expansion {
  std::string name;
  std::string study;
  /// Most runs at once; 0: no limit.
  uint32_t max_parallel = 0;
  std::vector<ExpandedStage> stages;
  int32_t priority = 0;
  std::string owner = {};
  v1::Limits limits = {};
  v1::Order order = v1::ORDER_LONGEST_FIRST;

  int64_t run_count() const;
};

/// Expands a sweep into its runs: in each stage (list × grid × budget × seeds).
///
/// Order: stages as written, then list, grid axes, budget and seeds, the last fastest, so that run numbers are stable
/// for an unchanged file. A grid axis whose values are maps sets several parameters together:
/// `model: [{width: 32, depth: 2}, {width: 64, depth: 3}]` gives two sizes, and no parameter named `model`.
/// Duplicates within a stage are an error, not silently dropped.
///
/// Errors: INVALID_ARGUMENT, the message starting with the path of the field (`stages[1].grid.depth: …`) and giving
/// what is allowed; RESOURCE_EXHAUSTED above kMaxRunsPerSweep.
absl::StatusOr<Expansion> expand(const v1::SweepSpec& sweep);

}  // namespace scalelaw::server
