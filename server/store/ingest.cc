#include "server/store/ingest.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "server/scheduling/states.h"
#include "server/store/store.h"

namespace scalelaw::server {

namespace {
constexpr size_t kMaxMetricName = 200;
// Of a line that is no event: enough to recognise it.
constexpr size_t kMaxMalformedShown = 500;

void append_log(Connection& connection, AttemptId attempt, const std::string& text) {
  if (text.empty()) return;
  connection.run("INSERT INTO log_chunks (attempt_id, text) VALUES (?1, ?2)", attempt.value, text);
  connection.run("UPDATE attempts SET log_bytes = log_bytes + ?2 WHERE id = ?1", attempt.value,
                 static_cast<int64_t>(text.size()));
  for (;;) {
    int64_t bytes = 0;
    int64_t oldest = 0;
    int64_t oldest_bytes = 0;
    {
      Query query = connection.query(
          "SELECT a.log_bytes, c.id, length(CAST(c.text AS BLOB)) FROM attempts a JOIN log_chunks c ON c.attempt_id = "
          "a.id "
          "WHERE a.id = ?1 ORDER BY c.id LIMIT 1",
          attempt.value);
      if (!query.next()) return;
      bytes = query.long_integer(0);
      oldest = query.long_integer(1);
      oldest_bytes = query.long_integer(2);
    }
    if (bytes <= kMaxLogBytes) return;
    connection.run("DELETE FROM log_chunks WHERE id = ?1", oldest);
    connection.run("UPDATE attempts SET log_bytes = log_bytes - ?2 WHERE id = ?1", attempt.value, oldest_bytes);
  }
}

void apply_progress(Connection& connection, RunId run, const v1::TrainerProgress& progress) {
  if (!std::isfinite(progress.fraction())) return;
  std::optional<double> seconds_left;
  if (progress.has_seconds_left() && std::isfinite(progress.seconds_left()) && progress.seconds_left() >= 0) {
    seconds_left = progress.seconds_left();
  }
  connection.run("UPDATE runs SET progress = ?2, seconds_left = ?3 WHERE id = ?1", run.value,
                 std::clamp(progress.fraction(), 0.0, 1.0), seconds_left);
}

std::optional<int64_t> positive(int64_t value) {
  return value > 0 ? std::optional(value) : std::nullopt;
}
}  // namespace

v1::RecordAck Ingest::apply(Connection& connection, const v1::RecordBatch& batch) {
  v1::RecordAck ack;
  ack.set_attempt_id(batch.attempt_id());
  ack.set_source(batch.source());
  const bool events = batch.source() == v1::RECORD_SOURCE_EVENTS;
  Target target{AttemptId{batch.attempt_id()}, {}, false};
  AttemptState state{};
  int64_t offset = 0;
  {
    Query query = connection.query(
        "SELECT run_id, state, events_offset, output_offset, rank FROM attempts WHERE id = ?1", target.attempt.value);
    if (!query.next() || !parse(query.text(1), state).ok()) {
      ack.set_fenced(true);
      return ack;
    }
    target.run = RunId{query.integer(0)};
    offset = query.long_integer(events ? 2 : 3);
    target.leads = query.integer(4) == 0;
  }
  ack.set_offset(offset);
  const bool duplicate = batch.end() <= offset;
  if (state == AttemptState::kLost || (ended(state) && !duplicate)) {
    ack.set_fenced(true);
    return ack;
  }
  if (duplicate || batch.begin() != offset) return ack;

  apply_records(connection, target, batch);
  connection.run(events ? "UPDATE attempts SET events_offset = ?2 WHERE id = ?1"
                        : "UPDATE attempts SET output_offset = ?2 WHERE id = ?1",
                 target.attempt.value, batch.end());
  ack.set_offset(batch.end());
  return ack;
}

void Ingest::apply_records(Connection& connection, const Target& target, const v1::RecordBatch& batch) {
  std::string log;
  const v1::TrainerMetrics* position = nullptr;
  for (const v1::Record& record : batch.records()) {
    if (!target.leads && !record.has_output() && !record.has_malformed()) continue;
    switch (record.record_case()) {
      case v1::Record::kStart:
        apply_start(connection, target, record.start());
        position = nullptr;
        break;
      case v1::Record::kMetrics:
        log += apply_metrics(connection, target, record.metrics());
        position = &record.metrics();
        break;
      case v1::Record::kProgress:
        apply_progress(connection, target.run, record.progress());
        break;
      case v1::Record::kCheckpoint:
        connection.run("INSERT OR REPLACE INTO checkpoints (run_id, step, path, attempt_id) VALUES (?1, ?2, ?3, ?4)",
                       target.run.value, record.checkpoint().step(), record.checkpoint().path(), target.attempt.value);
        break;
      case v1::Record::kArtifact:
        connection.run(
            "INSERT OR REPLACE INTO artifacts (run_id, name, path, kind, attempt_id) VALUES (?1, ?2, ?3, ?4, ?5)",
            target.run.value, record.artifact().name(), record.artifact().path(), record.artifact().kind(),
            target.attempt.value);
        break;
      case v1::Record::kOutput:
        log += record.output();
        break;
      case v1::Record::kMalformed:
        log += fmt::format("scalelaw: not an event: {}\n", record.malformed().substr(0, kMaxMalformedShown));
        break;
      case v1::Record::RECORD_NOT_SET:
        break;
    }
  }
  if (position != nullptr) {
    connection.run("UPDATE runs SET step = ?2, samples = ?3, flops = ?4 WHERE id = ?1", target.run.value,
                   position->step(), position->samples(), std::isfinite(position->flops()) ? position->flops() : 0.0);
  }
  append_log(connection, target.attempt, log);
}

// Training goes on after `step`: whatever an earlier attempt reported beyond it did not happen.
void Ingest::apply_start(Connection& connection, const Target& target, const v1::TrainerStart& start) {
  const double flops_per_sample = std::isfinite(start.flops_per_sample()) ? start.flops_per_sample() : 0;
  connection.run(
      "UPDATE runs SET model_params = ?2, model_params_total = ?3, flops_per_sample = nullif(?4, 0), progress = 0, "
      "seconds_left = NULL, step = ?5, samples = 0, flops = 0 WHERE id = ?1",
      target.run.value, positive(start.params()), positive(start.params_total()), flops_per_sample, start.step());
  connection.run("DELETE FROM points WHERE run_id = ?1 AND step > ?2", target.run.value, start.step());
  connection.run("DELETE FROM checkpoints WHERE run_id = ?1 AND step > ?2", target.run.value, start.step());
  connection.run("DELETE FROM latest_points WHERE run_id = ?1 AND step > ?2", target.run.value, start.step());
  // SQLite's max() in a select list takes the other columns from the row of the maximum.
  connection.run(
      "INSERT OR REPLACE INTO latest_points (run_id, metric_id, step, samples, flops, value) "
      "SELECT run_id, metric_id, max(step), samples, flops, value FROM points WHERE run_id = ?1 GROUP BY metric_id",
      target.run.value);
  connection.run(
      "UPDATE runs SET (samples, flops) = (SELECT samples, flops FROM latest_points WHERE run_id = ?1 "
      "ORDER BY step DESC LIMIT 1) WHERE id = ?1 AND EXISTS (SELECT 1 FROM latest_points WHERE run_id = ?1)",
      target.run.value);
}

std::string Ingest::apply_metrics(Connection& connection, const Target& target, const v1::TrainerMetrics& metrics) {
  std::string remarks;
  const double flops = std::isfinite(metrics.flops()) ? metrics.flops() : 0.0;
  for (const auto& [name, value] : metrics.values()) {
    // JSON has no such numbers; a foreign source may still deliver them, and a law has no use for them.
    if (!std::isfinite(value)) {
      remarks += fmt::format("scalelaw: {} at step {} is not finite and was not stored\n", name, metrics.step());
      continue;
    }
    if (name.empty() || name.size() > kMaxMetricName) {
      remarks +=
          fmt::format("scalelaw: a metric's name must have 1 to {} bytes: {}…\n", kMaxMetricName, name.substr(0, 40));
      continue;
    }
    const int64_t id = metric_id(connection, name);
    connection.run(
        "INSERT OR REPLACE INTO points (run_id, metric_id, step, samples, flops, value) VALUES (?1, ?2, ?3, ?4, ?5, "
        "?6)",
        target.run.value, id, metrics.step(), metrics.samples(), flops, value);
    connection.run(
        "INSERT INTO latest_points (run_id, metric_id, step, samples, flops, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
        "ON CONFLICT DO UPDATE SET step = excluded.step, samples = excluded.samples, flops = excluded.flops, "
        "value = excluded.value WHERE excluded.step >= step",
        target.run.value, id, metrics.step(), metrics.samples(), flops, value);
  }
  return remarks;
}

int64_t Ingest::metric_id(Connection& connection, const std::string& name) {
  const auto known = metric_ids_.find(name);
  if (known != metric_ids_.end()) return known->second;
  connection.run("INSERT OR IGNORE INTO metrics (name) VALUES (?1)", name);
  Query query = connection.query("SELECT id FROM metrics WHERE name = ?1", name);
  query.next();
  return metric_ids_[name] = query.long_integer(0);
}

}  // namespace scalelaw::server
