// Planned runs as a sweep that is ready to submit.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "scalelaw/v1/laws.pb.h"
#include "scalelaw/v1/runs.pb.h"
#include "scalelaw/v1/sweeps.pb.h"

namespace scalelaw::server {

/// A sweep's specification as it was submitted.
using SpecOf = std::function<absl::StatusOr<v1::SweepSpec>(int32_t sweep_id)>;

struct PlannedSweep {
  v1::SweepSpec spec;
  /// Planned sizes that no run of the study has: their runs are not in the sweep.
  std::vector<double> unknown_sizes;
};

/// Each planned run becomes one like the newest succeeded run of its size, with the same stage's family or command,
/// parameters and needs; a run planned without a size (for a law of compute alone) becomes one of every size. What
/// the stages need comes along; the coordinator reuses what has been trained already.
///
/// `study_runs`: those of the study. Errors: those of `spec_of`; FAILED_PRECONDITION where no run has a planned size.
absl::StatusOr<PlannedSweep> planned_sweep(const v1::RunPlan& plan, const std::string& name, const std::string& study,
                                           const std::vector<v1::Run>& study_runs, const SpecOf& spec_of);

}  // namespace scalelaw::server
