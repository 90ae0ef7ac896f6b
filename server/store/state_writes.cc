#include "server/store/state_writes.h"

#include <nlohmann/json.hpp>

#include "server/expansion/canonical_json.h"

namespace scalelaw::server {

int64_t study_id(Connection& connection, const std::string& name) {
  connection.run("INSERT OR IGNORE INTO studies (name) VALUES (?1)", name);
  Query query = connection.query("SELECT id FROM studies WHERE name = ?1", name);
  query.next();
  return query.long_integer(0);
}

namespace {
struct BudgetColumns {
  std::optional<std::string> kind;
  std::optional<double> amount;
};
BudgetColumns budget_columns(const RunBudget& budget) {
  if (const auto* flops = std::get_if<FlopsBudget>(&budget)) return {"flops", flops->flops};
  if (const auto* samples = std::get_if<SamplesBudget>(&budget))
    return {"samples", static_cast<double>(samples->samples)};
  if (const auto* steps = std::get_if<StepsBudget>(&budget)) return {"steps", static_cast<double>(steps->steps)};
  return {};
}

void write_stages(Connection& connection, const NewSweep& sweep) {
  const auto& stages = sweep.expansion.stages;
  for (size_t position = 0; position < stages.size(); ++position) {
    const v1::EarlyStopping& early = stages[position].early_stopping;
    const auto given = [](bool has, double value) { return has ? std::optional(value) : std::nullopt; };
    connection.run(
        "INSERT INTO stages (sweep_id, position, name, watched_metric, stop_above, stop_worse_than_median_after) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        sweep.id.value, static_cast<int>(position), stages[position].name, early.metric(),
        given(early.has_above(), early.above()),
        given(early.has_worse_than_median_after(), early.worse_than_median_after()));
  }
  for (size_t position = 0; position < stages.size(); ++position) {
    for (const ArtifactNeed& need : stages[position].needs) {
      connection.run("INSERT INTO stage_needs (sweep_id, position, artifact, needed) VALUES (?1, ?2, ?3, ?4)",
                     sweep.id.value, static_cast<int>(position), need.artifact, need.stage);
    }
  }
}

void write_run(Connection& connection, const NewSweep& sweep, int position, RunId id, const ExpandedRun& run) {
  const ExpandedStage& stage = sweep.expansion.stages[position];
  const BudgetColumns budget = budget_columns(run.budget);
  connection.run(
      "INSERT INTO runs (id, study_id, content_key, sweep_id, stage_position, name, command, params, budget_kind, "
      "budget, seed, holdout, slots, labels, max_retries, backoff_ms, workers, gpu_model, gpu_memory_bytes, state) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, 'waiting')",
      id.value, study_id(connection, stage.study), run.content_key, sweep.id.value, position, run.name,
      nlohmann::json(stage.command).dump(), canonical_json(run.params), budget.kind, budget.amount, run.seed,
      stage.holdout ? 1 : 0, static_cast<int64_t>(stage.slots), nlohmann::json(stage.labels).dump(),
      static_cast<int64_t>(stage.max_retries), static_cast<int64_t>(stage.backoff_seconds * 1000),
      static_cast<int64_t>(stage.workers), stage.gpu_model, stage.gpu_memory_bytes);
}

void write_attempt_change(Connection& connection, const AttemptChange& change, int64_t now_ms) {
  if (ended(change.state)) {
    connection.run("UPDATE attempts SET state = ?2, exit_code = ?3, reason = ?4, finished_ms = ?5 WHERE id = ?1",
                   change.attempt.value, name(change.state), change.exit_code, change.reason, now_ms);
  } else {
    connection.run("UPDATE attempts SET state = ?2, started_ms = ?3 WHERE id = ?1", change.attempt.value,
                   name(change.state), now_ms);
  }
}

void write_run_change(Connection& connection, const RunChange& change, int64_t now_ms) {
  const std::optional<int64_t> finished_ms = ended(change.state) ? std::optional(now_ms) : std::nullopt;
  connection.run(
      "UPDATE runs SET state = ?2, reason = ?3, failures = ?4, sweep_id = ?5, stage_position = ?6, finished_ms = ?7, "
      "seconds_left = NULL, curve_points = CASE WHEN ?7 IS NULL THEN NULL ELSE curve_points END, "
      "stopped_early = ?8 WHERE id = ?1",
      change.run.value, name(change.state), change.reason, change.failures, change.owner.sweep.value,
      change.owner.stage, finished_ms, change.stopped_early ? 1 : 0);
}

void write_assignment(Connection& connection, const NewAttempt& attempt, int64_t now_ms) {
  connection.run(
      "INSERT INTO attempts (id, run_id, number, rank, worker_id, sweep_id, slots, state, assigned_ms) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'assigned', ?8)",
      attempt.attempt.value, attempt.run.value, attempt.number, attempt.rank, attempt.worker.value, attempt.sweep.value,
      attempt.slots, now_ms);
  connection.run("UPDATE runs SET attempts = ?2, started_ms = ?3 WHERE id = ?1", attempt.run.value, attempt.number,
                 now_ms);
}

void write_sweep_change(Connection& connection, const SweepChange& change, int64_t now_ms) {
  const std::optional<int64_t> finished_ms =
      change.state == SweepState::kRunning ? std::nullopt : std::optional(now_ms);
  connection.run(
      "UPDATE sweeps SET state = ?2, cancelled = ?3, finished_ms = ?4, paused = ?5, limit_flops = ?6, "
      "limit_slot_ms = ?7 WHERE id = ?1",
      change.sweep.value, name(change.state), change.cancelled ? 1 : 0, finished_ms, change.paused, change.limits.flops,
      static_cast<int64_t>(change.limits.slot_time.count()));
}
}  // namespace

void write_sweep(Connection& connection, const NewSweep& sweep, int64_t now_ms) {
  const std::optional<std::string> idempotency_key =
      sweep.idempotency_key.empty() ? std::nullopt : std::optional(sweep.idempotency_key);
  connection.run(
      "INSERT INTO sweeps (id, name, study_id, state, spec, idempotency_key, max_parallel, submitted_ms, priority, "
      "owner, run_order, limit_flops, limit_slot_ms) "
      "VALUES (?1, ?2, ?3, 'running', CAST(?4 AS BLOB), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
      sweep.id.value, sweep.expansion.name, study_id(connection, sweep.expansion.study), sweep.spec.SerializeAsString(),
      idempotency_key, static_cast<int64_t>(sweep.expansion.max_parallel), now_ms, sweep.expansion.priority,
      sweep.expansion.owner, name(static_cast<Order>(sweep.expansion.order)), sweep.expansion.limits.flops(),
      static_cast<int64_t>(slot_time(sweep.expansion.limits.slot_hours()).count()));
  write_stages(connection, sweep);
  size_t number = 0;
  for (size_t position = 0; position < sweep.expansion.stages.size(); ++position) {
    const ExpandedStage& stage = sweep.expansion.stages[position];
    for (const ExpandedRun& run : stage.runs) {
      const RunId id = sweep.run_ids[number];
      if (!sweep.reused[number]) {
        write_run(connection, sweep, static_cast<int>(position), id, run);
      } else if (stage.holdout) {
        // Once held out, always: a law must not see what it is going to be verified against.
        connection.run("UPDATE runs SET holdout = 1 WHERE id = ?1", id.value);
      }
      ++number;
      connection.run("INSERT INTO sweep_runs (sweep_id, number, stage_position, run_id) VALUES (?1, ?2, ?3, ?4)",
                     sweep.id.value, static_cast<int64_t>(number), static_cast<int>(position), id.value);
    }
  }
}

void write_decisions(Connection& connection, const Decisions& decisions, int64_t now_ms) {
  for (const AttemptChange& change : decisions.attempts) write_attempt_change(connection, change, now_ms);
  for (const RunChange& change : decisions.runs) write_run_change(connection, change, now_ms);
  for (const NewAttempt& attempt : decisions.assignments) write_assignment(connection, attempt, now_ms);
  for (const SweepChange& change : decisions.sweeps) write_sweep_change(connection, change, now_ms);
  for (const WorkerChange& change : decisions.workers) {
    connection.run("UPDATE workers SET state = ?2, drain_reason = ?3 WHERE id = ?1", change.worker.value,
                   name(change.state), change.drain_reason);
  }
  for (const Stop& stop : decisions.stops) {
    connection.run("UPDATE attempts SET stop = ?2 WHERE id = ?1", stop.attempt.value, stop.reason);
  }
}

void write_gpu_usage(Connection& connection, AttemptId attempt, const v1::GpuUsage& usage) {
  connection.run(
      "INSERT OR IGNORE INTO gpu_usage (attempt_id, gpus, seconds, utilisation, peak_memory_bytes, energy_joules) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
      attempt.value, static_cast<int64_t>(usage.gpus()), usage.seconds(), usage.utilisation(),
      static_cast<int64_t>(usage.peak_memory_bytes()), usage.energy_joules());
}

void write_worker(Connection& connection, const KnownWorker& worker) {
  connection.run(
      "INSERT INTO workers (id, uid, name, host, version, state, slots, labels, last_seen_ms, gpu_model, "
      "gpu_memory_bytes, places_gangs) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) "
      "ON CONFLICT (id) DO UPDATE SET name = excluded.name, host = excluded.host, version = excluded.version, "
      "state = excluded.state, slots = excluded.slots, labels = excluded.labels, "
      "last_seen_ms = excluded.last_seen_ms, gpu_model = excluded.gpu_model, "
      "gpu_memory_bytes = excluded.gpu_memory_bytes, places_gangs = excluded.places_gangs",
      worker.id.value, worker.uid, worker.name, worker.host, worker.version, name(worker.state), worker.offer.slots,
      nlohmann::json(worker.offer.labels).dump(), worker.last_seen_ms, worker.offer.gpu_model,
      worker.offer.gpu_memory_bytes, worker.offer.places_gangs ? 1 : 0);
}

int32_t write_law(Connection& connection, const StoredLaw& law, int64_t now_ms) {
  connection.run(
      "INSERT INTO laws (study_id, metric, form, formula, observations_hash, document, fitted_ms) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      study_id(connection, law.study), law.metric, law.form, law.formula, law.observations_hash, law.document,
      law.fitted_ms != 0 ? law.fitted_ms : now_ms);
  return static_cast<int32_t>(connection.last_insert_id());
}

}  // namespace scalelaw::server
