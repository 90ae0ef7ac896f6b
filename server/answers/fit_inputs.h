// What a FitRequest stands for: a study's runs and the options of a fit to them.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "analysis/law.h"
#include "scalelaw/v1/laws.pb.h"
#include "server/store/store.h"

namespace scalelaw::server {

struct FitInputs {
  std::vector<analysis::Observation> runs;
  /// Of a chain: the losses on the way.
  std::vector<analysis::Observation> losses;
  analysis::FitOptions options;
};

/// The runs that are not held out and whose FLOPs the request allows; bounds as the study's runs report them.
///
/// Errors: NOT_FOUND for the study (with those that exist), INVALID_ARGUMENT naming the field, FAILED_PRECONDITION
/// where no run reports the metric (with the metrics that they do).
absl::StatusOr<FitInputs> fit_inputs(const Store& store, const v1::FitRequest& request);

/// Without held-out runs, which no fit may see.
absl::StatusOr<std::vector<v1::Observation>> fit_observations(const Store& store, const std::string& study,
                                                              const std::string& metric);

/// NOT_FOUND with the studies that exist.
absl::Status check_study(const Store& store, const std::string& study);

}  // namespace scalelaw::server
