#include "server/store/imported_runs.h"

#include <optional>

#include "server/expansion/canonical_json.h"
#include "server/store/state_writes.h"

namespace scalelaw::server {

namespace {
void write_sweep_row(Connection& connection, const ImportedRuns& imported, int64_t study, int64_t now_ms) {
  v1::SweepSpec spec;
  spec.set_name(imported.request.sweep());
  spec.set_study(imported.request.study());
  spec.add_stages()->set_name(std::string(kImportedStage));
  connection.run(
      "INSERT INTO sweeps (id, name, study_id, state, spec, idempotency_key, max_parallel, submitted_ms, finished_ms) "
      "VALUES (?1, ?2, ?3, 'succeeded', CAST(?4 AS BLOB), ?5, 0, ?6, ?6)",
      imported.sweep.value, imported.request.sweep(), study, spec.SerializeAsString(), imported.idempotency_key,
      now_ms);
  connection.run("INSERT INTO stages (sweep_id, position, name) VALUES (?1, 0, ?2)", imported.sweep.value,
                 kImportedStage);
}

std::optional<int64_t> milliseconds(bool known, const google::protobuf::Timestamp& time) {
  return known ? std::optional(time.seconds() * 1000 + time.nanos() / 1'000'000) : std::nullopt;
}

void write_run_row(Connection& connection, const ImportedRuns& imported, int64_t study, size_t i, int64_t now_ms) {
  const v1::ImportedRun& run = imported.request.runs(static_cast<int>(i));
  const std::optional<int64_t> params = run.model_params() > 0 ? std::optional(run.model_params()) : std::nullopt;
  connection.run(
      "INSERT INTO runs (id, study_id, content_key, sweep_id, stage_position, name, command, params, seed, holdout, "
      "slots, labels, max_retries, backoff_ms, state, model_params, progress, started_ms, finished_ms) "
      "VALUES (?1, ?2, ?3, ?4, 0, ?5, '[]', ?6, ?7, ?8, 1, '{}', 0, 0, ?9, ?10, 1, ?11, ?12) "
      "ON CONFLICT (id) DO UPDATE SET name = excluded.name, params = excluded.params, seed = excluded.seed, "
      "holdout = excluded.holdout, state = excluded.state, model_params = excluded.model_params, "
      "started_ms = excluded.started_ms, finished_ms = excluded.finished_ms",
      imported.run_ids[i].value, study, imported.content_keys[i], imported.sweep.value,
      run.name().empty() ? run.key() : run.name(), canonical_json(run.params()), run.seed(), run.holdout() ? 1 : 0,
      std::string(run.failed() ? "failed" : "succeeded"), params, milliseconds(run.has_started(), run.started()),
      milliseconds(run.has_finished(), run.finished()).value_or(now_ms));
  if (!imported.is_new[i]) return;
  connection.run(
      "INSERT INTO sweep_runs (sweep_id, number, stage_position, run_id) "
      "SELECT ?1, coalesce(max(number), 0) + 1, 0, ?2 FROM sweep_runs WHERE sweep_id = ?1",
      imported.sweep.value, imported.run_ids[i].value);
}

void write_curve(Connection& connection, RunId run, const v1::Curve& curve) {
  connection.run("INSERT OR IGNORE INTO metrics (name) VALUES (?1)", curve.metric());
  int64_t metric = 0;
  {
    Query query = connection.query("SELECT id FROM metrics WHERE name = ?1", curve.metric());
    query.next();
    metric = query.long_integer(0);
  }
  for (const v1::Point& point : curve.points()) {
    connection.run(
        "INSERT OR REPLACE INTO points (run_id, metric_id, step, samples, flops, value) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        run.value, metric, point.step(), point.samples(), point.flops(), point.value());
  }
  connection.run(
      "INSERT OR REPLACE INTO latest_points (run_id, metric_id, step, samples, flops, value) "
      "SELECT run_id, metric_id, step, samples, flops, value FROM points WHERE run_id = ?1 AND metric_id = ?2 "
      "ORDER BY step DESC LIMIT 1",
      run.value, metric);
}
}  // namespace

void write_imported(Connection& connection, const ImportedRuns& imported, int64_t now_ms) {
  const int64_t study = study_id(connection, imported.request.study());
  if (imported.new_sweep) write_sweep_row(connection, imported, study, now_ms);
  for (size_t i = 0; i < imported.run_ids.size(); ++i) {
    const RunId run = imported.run_ids[i];
    write_run_row(connection, imported, study, i, now_ms);
    for (const v1::Curve& curve : imported.request.runs(static_cast<int>(i)).curves()) {
      write_curve(connection, run, curve);
    }
    connection.run(
        "UPDATE runs SET (step, samples, flops) = (SELECT step, samples, flops FROM latest_points WHERE run_id = ?1 "
        "ORDER BY step DESC LIMIT 1) WHERE id = ?1 AND EXISTS (SELECT 1 FROM latest_points WHERE run_id = ?1)",
        run.value);
  }
}

}  // namespace scalelaw::server
