// Questions about laws, answered from the laws themselves: the server looks them up, a command line without one reads
// them from files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/compare.h"
#include "analysis/law.h"
#include "analysis/surface.h"
#include "scalelaw/v1/laws.pb.h"

namespace scalelaw {

/// What training costs: as the request says; else fitted to the observations where they have measured it; else 6·N·D.
/// `source` of the message tells which. Errors: INVALID_ARGUMENT naming the field.
absl::StatusOr<v1::TrainingCost> training_cost(bool given, const v1::TrainingCost& cost, const std::string& field,
                                               const std::vector<analysis::Observation>& observations);

/// Without the law's id. `observations`: those of the law, as far as they are known. Errors: as analysis::optimal.
absl::StatusOr<v1::Optimum> answer(const v1::OptimalRequest& request, const analysis::Law& law,
                                   const std::vector<analysis::Observation>& observations);

/// One side of a comparison: a stored law, with the observations that it was fitted to where they are known.
struct Compared {
  std::string name;
  const analysis::Law& law;
  std::vector<analysis::Observation> observations;
};

/// Where both sides' observations are known and have runs in common, both laws are fitted again with those resampled
/// together. Errors: as analysis::compare.
absl::StatusOr<v1::Comparison> answer(const v1::CompareRequest& request, const Compared& a, const Compared& b);

/// Without the law's id and the sweep. Errors: as analysis::plan and analysis::candidate_grid.
absl::StatusOr<v1::RunPlan> answer(const v1::PlanRequest& request, const analysis::Law& law,
                                   const std::vector<analysis::Observation>& observations);

}  // namespace scalelaw
