// Observations and laws out of the database.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "server/store/connection.h"
#include "server/store/store.h"

namespace scalelaw::server {

// As the functions of Store with these names; SQLite errors are thrown.
std::vector<v1::Observation> read_observations(Connection& connection, const std::string& study,
                                               const std::string& metric, std::vector<std::string>* metric_names);
absl::StatusOr<std::optional<int64_t>> read_first_started_ms(Connection& connection, int32_t run_id);
std::vector<std::string> read_studies(Connection& connection);
std::vector<std::string> read_metrics(Connection& connection, const std::string& study);
absl::StatusOr<StoredLaw> read_law(Connection& connection, int32_t id);
std::vector<StoredLaw> read_laws(Connection& connection, const std::string& study, const std::string& metric);

}  // namespace scalelaw::server
