// Sweeps, runs, curves and logs out of the database, as the API shows them.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "server/store/connection.h"
#include "server/store/store.h"

namespace scalelaw::server {

// As the functions of Store with these names; SQLite errors are thrown.
absl::StatusOr<v1::Sweep> read_sweep(Connection& connection, const std::string& id_or_name);
std::vector<v1::Sweep> read_sweeps(Connection& connection, const std::string& study);
absl::StatusOr<v1::SweepSpec> read_sweep_spec(Connection& connection, int32_t sweep_id);
std::vector<v1::Run> read_runs_of_sweep(Connection& connection, int32_t sweep_id);
std::vector<v1::Run> read_runs_of_study(Connection& connection, const std::string& study);
absl::StatusOr<v1::Run> read_run(Connection& connection, int32_t id);
absl::StatusOr<std::vector<v1::Curve>> read_curves(Connection& connection, int32_t run_id, const std::string& metric);
std::vector<LogText> read_logs(Connection& connection, int32_t run_id, int64_t after_id, int64_t max_bytes);

}  // namespace scalelaw::server
