#include "server/store/law_reads.h"

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
#define LAW_COLUMNS                                                                                      \
  "l.id, s.name, l.metric, l.form, l.formula, l.observations_hash, l.document, l.fitted_ms FROM laws l " \
  "JOIN studies s ON s.id = l.study_id "

StoredLaw law_of(const Query& row) {
  return {row.integer(0), row.text(1), row.text(2), row.text(3),
          row.text(4),    row.text(5), row.text(6), row.long_integer(7)};
}
}  // namespace

std::vector<v1::Observation> read_observations(Connection& connection, const std::string& study,
                                               const std::string& metric, std::vector<std::string>* metric_names) {
  std::vector<v1::Observation> observations;
  Query row = connection.query(
      "SELECT run_id, run, coalesce(params, 0), samples, flops, value, seed, holdout, coalesce(budget_flops, 0), "
      "metric "
      "FROM v_observations WHERE study = ?1 AND (?2 = '' OR metric = ?2) ORDER BY metric, run_id",
      study, metric);
  while (row.next()) {
    v1::Observation& observation = observations.emplace_back();
    observation.set_run_id(row.integer(0));
    observation.set_run(row.text(1));
    observation.set_params(row.real(2));
    observation.set_samples(row.real(3));
    observation.set_flops(row.real(4));
    observation.set_value(row.real(5));
    observation.set_seed(row.long_integer(6));
    observation.set_holdout(row.integer(7) != 0);
    observation.set_budget_flops(row.real(8));
    if (metric_names != nullptr) metric_names->push_back(row.text(9));
  }
  return observations;
}

absl::StatusOr<std::optional<int64_t>> read_first_started_ms(Connection& connection, int32_t run_id) {
  Query row = connection.query(
      "SELECT min(a.assigned_ms) FROM runs r LEFT JOIN attempts a ON a.run_id = r.id WHERE r.id = ?1 GROUP BY r.id",
      run_id);
  if (!row.next()) return absl::NotFoundError(fmt::format("run_id: there is no run {}", run_id));
  return row.null(0) ? std::nullopt : std::optional(row.long_integer(0));
}

std::vector<std::string> read_studies(Connection& connection) {
  std::vector<std::string> names;
  Query row = connection.query("SELECT name FROM studies ORDER BY name");
  while (row.next()) names.push_back(row.text(0));
  return names;
}

std::vector<std::string> read_metrics(Connection& connection, const std::string& study) {
  std::vector<std::string> names;
  Query row = connection.query("SELECT DISTINCT metric FROM v_observations WHERE study = ?1 ORDER BY metric", study);
  while (row.next()) names.push_back(row.text(0));
  return names;
}

absl::StatusOr<StoredLaw> read_law(Connection& connection, int32_t id) {
  Query row = connection.query("SELECT " LAW_COLUMNS "WHERE l.id = ?1", id);
  if (!row.next()) return absl::NotFoundError(fmt::format("law_id: there is no law {}", id));
  return law_of(row);
}

std::vector<StoredLaw> read_laws(Connection& connection, const std::string& study, const std::string& metric) {
  std::vector<StoredLaw> laws;
  Query row = connection.query("SELECT " LAW_COLUMNS
                               "WHERE (?1 = '' OR s.name = ?1) AND (?2 = '' OR l.metric = ?2) ORDER BY l.id DESC",
                               study, metric);
  while (row.next()) laws.push_back(law_of(row));
  return laws;
}

}  // namespace scalelaw::server
