#include <cmath>
#include <map>

#include "cli/imports/foreign_database.h"
#include "cli/imports/foreign_run.h"

namespace scalelaw::cli {
namespace {

absl::StatusOr<ForeignRuns> read(SQLite::Database& database, const ForeignSource& source) {
  if (auto s = check_experiment(database, source, "SELECT name FROM experiments ORDER BY name"); !s.ok()) return s;
  ForeignRuns result;
  std::map<std::string, size_t> places;
  SQLite::Statement row(database,
                        "SELECT r.run_uuid, coalesce(nullif(r.name, ''), t.value, r.run_uuid), r.status, r.start_time, "
                        "r.end_time FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
                        "LEFT JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'mlflow.runName' "
                        "WHERE r.lifecycle_stage = 'active' AND (?1 = '' OR e.name = ?1) ORDER BY r.start_time, 1");
  row.bind(1, source.experiment);
  while (row.executeStep()) {
    const std::string status = row.getColumn(2).getString();
    if (status == "RUNNING" || status == "SCHEDULED") {
      ++result.unfinished;
      continue;
    }
    ForeignRun& run = result.runs.emplace_back();
    run.key = row.getColumn(0).getString();
    run.name = row.getColumn(1).getString();
    run.failed = status != "FINISHED";
    if (!row.getColumn(3).isNull()) run.started = row.getColumn(3).getDouble() / 1000;
    if (!row.getColumn(4).isNull()) run.finished = row.getColumn(4).getDouble() / 1000;
    places[run.key] = result.runs.size() - 1;
  }
  SQLite::Statement param(database, "SELECT run_uuid, key, value FROM params");
  while (param.executeStep()) {
    const auto place = places.find(param.getColumn(0).getString());
    if (place != places.end())
      result.runs[place->second].params[param.getColumn(1).getString()] = param.getColumn(2).getString();
  }
  // Of values logged twice at one step the later one counts.
  SQLite::Statement metric(database,
                           "SELECT run_uuid, key, step, value FROM metrics WHERE NOT is_nan ORDER BY timestamp");
  while (metric.executeStep()) {
    const auto place = places.find(metric.getColumn(0).getString());
    const double value = metric.getColumn(3).getDouble();
    const int64_t step = metric.getColumn(2).getInt64();
    if (place == places.end() || !std::isfinite(value) || step < 0) continue;
    result.runs[place->second].curves[metric.getColumn(1).getString()][step] = value;
  }
  return result;
}

}  // namespace

absl::StatusOr<ForeignRuns> read_mlflow_runs(const ForeignSource& source) {
  return read_database(source.path, "MLflow", [&](SQLite::Database& database) { return read(database, source); });
}

}  // namespace scalelaw::cli
