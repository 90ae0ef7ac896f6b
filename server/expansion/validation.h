// Everything about a sweep that can be wrong before its runs are counted.
#pragma once

#include <string>
#include <vector>

#include <absl/status/status.h>

#include "scalelaw/v1/sweeps.pb.h"

namespace scalelaw::server {

/// INVALID_ARGUMENT with `path: what is wrong; what is allowed`.
absl::Status invalid(const std::string& path, const std::string& message);

/// Up to 64 letters, digits, '.', '_' and '-', beginning with a letter or a digit.
absl::Status check_name(const std::string& path, const std::string& name);
absl::Status check_sweep_name(const std::string& path, const std::string& name);
/// Named, and finite where they are numbers.
absl::Status check_params(const std::string& path, const google::protobuf::Struct& params);

/// Checks priority, owner and limits; names, needs, commands, parameters, grids, budgets, seeds, resources and retries
/// of all stages, each by itself and against the others. OK means that `expand` can build the runs; see its errors.
absl::Status validate(const v1::SweepSpec& sweep);

/// Index of the stage of that name, or -1.
int stage_index(const v1::SweepSpec& sweep, const std::string& name);

/// How many runs a stage stands for, without building them. A double: a grid can be absurdly large.
double planned_runs(const v1::StageSpec& spec);

/// Stages so that each comes after those it needs, otherwise in file order. Stages that take part in a cycle, or need
/// one that does, are left out.
std::vector<int> in_order_of_need(const v1::SweepSpec& sweep);

}  // namespace scalelaw::server
