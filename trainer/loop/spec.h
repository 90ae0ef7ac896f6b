// What a run is asked to do: the trainer protocol's specification (docs/trainer-protocol.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

namespace scalelaw::trainer {

struct Budget {
  enum class Unit { kNone, kFlops, kSamples, kSteps };
  Unit unit = Unit::kNone;
  double amount = 0;

  /// Whole steps that honour the budget: the most that do not exceed it, at least 1.
  int64_t steps(double flops_per_sample, int64_t batch, int64_t default_samples) const;
};

struct RunSpec {
  nlohmann::json params = nlohmann::json::object();
  Budget budget;
  uint64_t seed = 1;
  std::map<std::string, std::string> inputs;

  /// Where the run lives: artifacts go here, events and checkpoints by default too.
  std::string directory = ".";
  std::string events_path;
  std::string checkpoint_directory;
  /// Tell a person at a terminal how it goes, on standard error.
  bool narrate = false;
};

/// Throws BadRun naming the field.
RunSpec parse_spec(const nlohmann::json& document);
Budget parse_budget(const nlohmann::json& budget);

}  // namespace scalelaw::trainer
