// Everything about imported runs that can be wrong.
#pragma once

#include <absl/status/status.h>

#include "scalelaw/v1/runs.pb.h"

namespace scalelaw::server {

/// INVALID_ARGUMENT with `path: what is wrong; what is allowed`.
absl::Status validate(const v1::ImportRunsRequest& request);

}  // namespace scalelaw::server
