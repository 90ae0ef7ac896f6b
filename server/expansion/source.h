// Commands that do not speak the trainer protocol: what is wrong with their source, and the adapter that reads it.
#pragma once

#include <string>
#include <vector>

#include <absl/status/status.h>

#include "scalelaw/v1/sweeps.pb.h"
#include "server/expansion/expansion.h"

namespace scalelaw::server {

/// INVALID_ARGUMENT naming the field of `stage`; OK for a stage without a source.
absl::Status check_source(const std::string& stage, const v1::StageSpec& spec);
/// The same for what only a run's parameters tell: names in expressions, and what stands in the command's braces.
absl::Status check_source(const std::string& stage, const v1::StageSpec& spec, const ExpandedRun& run);

/// The argv that runs the command and speaks the trainer protocol for it.
std::vector<std::string> adapted(const v1::StageSpec& spec);

}  // namespace scalelaw::server
