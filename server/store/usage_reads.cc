#include "server/store/usage_reads.h"

#include <map>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace scalelaw::server {

std::vector<StudyUsage> read_usage(Connection& connection, int64_t now_ms) {
  std::vector<StudyUsage> studies;
  Query row = connection.query(
      "SELECT s.name, total(a.slots * (coalesce(a.finished_ms, ?1) - a.started_ms)) / 1000, "
      "  coalesce(sum(a.state = 'failed'), 0), coalesce(sum(a.state = 'lost'), 0), "
      "  (SELECT count(*) FROM laws l WHERE l.study_id = s.id), "
      "  (SELECT sum(p.value) FROM metrics m JOIN latest_points p ON p.metric_id = m.id "
      "   JOIN runs e ON e.id = p.run_id WHERE m.name = 'energy_joules' AND e.study_id = s.id) "
      "FROM studies s LEFT JOIN runs r ON r.study_id = s.id LEFT JOIN attempts a ON a.run_id = r.id "
      "GROUP BY s.id ORDER BY s.name",
      now_ms);
  while (row.next()) {
    StudyUsage& study = studies.emplace_back();
    study.study = row.text(0);
    study.slot_seconds = row.real(1);
    study.failed_attempts = row.integer(2);
    study.lost_attempts = row.integer(3);
    study.laws = row.integer(4);
    if (!row.null(5)) study.energy_joules = row.real(5);
  }
  return studies;
}

Totals read_totals(Connection& connection) {
  Totals totals;
  Query runs = connection.query("SELECT state, count(*), total(flops) FROM runs GROUP BY state");
  while (runs.next()) {
    totals.runs_by_state[runs.text(0)] = runs.long_integer(1);
    totals.flops += runs.real(2);
  }
  Query attempts = connection.query("SELECT state, count(*) FROM attempts GROUP BY state");
  while (attempts.next()) totals.attempts_by_state[attempts.text(0)] = attempts.long_integer(1);
  return totals;
}

std::vector<QueuedRuns> read_queue(Connection& connection) {
  std::vector<QueuedRuns> queue;
  Query row = connection.query(
      "SELECT r.sweep_id, w.name, t.name, r.state, r.reason, r.slots, r.labels, r.workers, r.gpu_model, "
      "r.gpu_memory_bytes, count(*) FROM runs r "
      "JOIN sweeps w ON w.id = r.sweep_id JOIN stages t ON t.sweep_id = r.sweep_id AND t.position = r.stage_position "
      "WHERE r.state IN ('queued', 'waiting') "
      "GROUP BY r.sweep_id, r.stage_position, r.state, r.reason, r.slots, r.labels, r.workers, r.gpu_model, "
      "r.gpu_memory_bytes ORDER BY r.sweep_id, r.state");
  while (row.next()) {
    QueuedRuns& runs = queue.emplace_back();
    runs.sweep_id = row.integer(0);
    runs.sweep = row.text(1);
    runs.stage = row.text(2);
    runs.state = row.text(3);
    runs.reason = row.text(4);
    runs.need = {row.integer(5), nlohmann::json::parse(row.text(6)).get<std::map<std::string, std::string>>(),
                 row.integer(7), row.text(8), row.long_integer(9)};
    runs.count = row.integer(10);
  }
  return queue;
}

absl::StatusOr<std::vector<StoredArtifact>> read_artifacts(Connection& connection, int32_t run_id) {
  {
    Query exists = connection.query("SELECT 1 FROM runs WHERE id = ?1", run_id);
    if (!exists.next()) return absl::NotFoundError(fmt::format("run_id: there is no run {}", run_id));
  }
  std::vector<StoredArtifact> artifacts;
  Query row = connection.query(
      "SELECT f.name, f.kind, f.path, k.name FROM artifacts f JOIN attempts a ON a.id = f.attempt_id "
      "JOIN workers k ON k.id = a.worker_id WHERE f.run_id = ?1 ORDER BY f.name",
      run_id);
  while (row.next()) artifacts.push_back({row.text(0), row.text(1), row.text(2), row.text(3)});
  return artifacts;
}

}  // namespace scalelaw::server
