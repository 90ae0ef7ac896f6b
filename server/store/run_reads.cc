#include "server/store/run_reads.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_map>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>
#include <nlohmann/json.hpp>

namespace scalelaw::server {

namespace {
using google::protobuf::util::TimeUtil;

// Literals, not functions of each other: statements are prepared once per text. `t` is the stage shown with the run.
#define RUN_COLUMNS                                                                                               \
  "r.id, r.sweep_id, s.name, t.name, r.name, r.state, r.params, r.budget_kind, r.budget, r.seed, r.holdout, "     \
  "r.command, r.model_params, r.model_params_total, r.flops_per_sample, r.progress, r.step, r.samples, r.flops, " \
  "r.seconds_left, r.attempts, k.name, a.exit_code, r.reason, r.started_ms, r.finished_ms, r.slots, r.labels, "   \
  "r.workers, r.gpu_model, r.gpu_memory_bytes "
#define RUN_JOINS                                                                                          \
  "JOIN studies s ON s.id = r.study_id LEFT JOIN attempts a ON a.run_id = r.id AND a.number = r.attempts " \
  "AND a.rank = 0 "                                                                                        \
  "LEFT JOIN workers k ON k.id = a.worker_id "
#define OWN_STAGE "JOIN stages t ON t.sweep_id = r.sweep_id AND t.position = r.stage_position "

void set_budget(v1::Run& run, const std::string& kind, double amount) {
  if (kind == "flops") run.set_budget_flops(amount);
  if (kind == "samples") run.set_budget_samples(static_cast<int64_t>(amount));
  if (kind == "steps") run.set_budget_steps(static_cast<int64_t>(amount));
}

/// What the trainer reported, or at least the part of its budget that it has used.
double progress_of(const v1::Run& run, double reported) {
  if (run.state() == v1::RUN_STATE_SUCCEEDED) return 1;
  double used = 0;
  if (run.budget_flops() > 0) used = run.flops() / run.budget_flops();
  if (run.budget_samples() > 0) used = static_cast<double>(run.samples()) / static_cast<double>(run.budget_samples());
  if (run.budget_steps() > 0) used = static_cast<double>(run.step()) / static_cast<double>(run.budget_steps());
  return std::clamp(std::max(reported, used), 0.0, 1.0);
}

v1::Run run_of(const Query& row) {
  v1::Run run;
  run.set_id(row.integer(0));
  run.set_sweep_id(row.integer(1));
  run.set_study(row.text(2));
  run.set_stage(row.text(3));
  run.set_name(row.text(4));
  RunState state{};
  if (parse(row.text(5), state).ok()) run.set_state(static_cast<v1::RunState>(state));
  // Written by us from a Struct: it reads back.
  (void)google::protobuf::util::JsonStringToMessage(row.text(6), run.mutable_params());
  if (!row.null(7)) set_budget(run, row.text(7), row.real(8));
  run.set_seed(row.long_integer(9));
  run.set_holdout(row.integer(10) != 0);
  for (const std::string& word : nlohmann::json::parse(row.text(11)).get<std::vector<std::string>>())
    run.add_command(word);
  run.set_model_params(row.long_integer(12));
  run.set_model_params_total(row.long_integer(13));
  run.set_flops_per_sample(row.real(14));
  run.set_step(row.long_integer(16));
  run.set_samples(row.long_integer(17));
  run.set_flops(row.real(18));
  run.set_progress(progress_of(run, row.real(15)));
  if (!row.null(19)) run.set_seconds_left(row.real(19));
  run.set_attempts(row.integer(20));
  run.set_worker(row.text(21));
  run.set_exit_code(row.integer(22));
  run.set_reason(row.text(23));
  if (!row.null(24)) *run.mutable_started() = TimeUtil::MillisecondsToTimestamp(row.long_integer(24));
  if (!row.null(25)) *run.mutable_finished() = TimeUtil::MillisecondsToTimestamp(row.long_integer(25));
  run.set_slots(static_cast<uint32_t>(row.integer(26)));
  const auto labels = nlohmann::json::parse(row.text(27)).get<std::map<std::string, std::string>>();
  run.mutable_labels()->insert(labels.begin(), labels.end());
  run.set_workers(static_cast<uint32_t>(row.integer(28)));
  run.set_gpu_model(row.text(29));
  run.set_gpu_memory_gib(static_cast<double>(row.long_integer(30)) / (1 << 30));
  return run;
}

std::vector<v1::Run> runs_of(Query rows, Query latest) {
  std::vector<v1::Run> runs;
  std::unordered_multimap<int32_t, size_t> places;
  while (rows.next()) {
    runs.push_back(run_of(rows));
    places.emplace(runs.back().id(), runs.size() - 1);
  }
  while (latest.next()) {
    const auto [first, last] = places.equal_range(latest.integer(0));
    for (auto place = first; place != last; ++place) {
      (*runs[place->second].mutable_latest())[latest.text(1)] = latest.real(2);
    }
  }
  return runs;
}

#define SWEEP_COLUMNS                                                                                            \
  "w.id, w.name, s.name, w.state, w.submitted_ms, w.finished_ms, w.paused, w.priority, w.owner, w.limit_flops, " \
  "w.limit_slot_ms FROM sweeps w JOIN studies s ON s.id = w.study_id "

double hours(int64_t ms) {
  return static_cast<double>(ms) / 3'600'000;
}

v1::Sweep sweep_of(Connection& connection, const Query& row) {
  v1::Sweep sweep;
  sweep.set_id(row.integer(0));
  sweep.set_name(row.text(1));
  sweep.set_study(row.text(2));
  *sweep.mutable_submitted() = TimeUtil::MillisecondsToTimestamp(row.long_integer(4));
  if (!row.null(5)) *sweep.mutable_finished() = TimeUtil::MillisecondsToTimestamp(row.long_integer(5));
  for (const auto state : {SweepState::kRunning, SweepState::kSucceeded, SweepState::kFailed, SweepState::kCancelled}) {
    if (row.text(3) == name(state)) sweep.set_state(static_cast<v1::SweepState>(state));
  }
  if (!row.null(6)) {
    sweep.set_state(v1::SWEEP_STATE_PAUSED);
    sweep.set_reason(row.text(6));
  }
  sweep.set_priority(row.integer(7));
  sweep.set_owner(row.text(8));
  if (row.real(9) > 0) sweep.mutable_limits()->set_flops(row.real(9));
  if (row.long_integer(10) > 0) sweep.mutable_limits()->set_slot_hours(hours(row.long_integer(10)));
  Query spent = connection.query(
      "SELECT coalesce(sum((coalesce(finished_ms, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)) - "
      "assigned_ms) * slots), "
      "0) FROM attempts WHERE sweep_id = ?1",
      sweep.id());
  spent.next();
  sweep.set_slot_hours(hours(spent.long_integer(0)));
  Query counts = connection.query(
      "SELECT r.state, count(*), total(r.flops), total(CASE r.budget_kind WHEN 'flops' THEN r.budget ELSE r.flops END) "
      "FROM sweep_runs x JOIN runs r ON r.id = x.run_id WHERE x.sweep_id = ?1 GROUP BY r.state",
      sweep.id());
  v1::RunCounts& runs = *sweep.mutable_runs();
  while (counts.next()) {
    RunState state{};
    if (!parse(counts.text(0), state).ok()) continue;
    const int32_t count = counts.integer(1);
    runs.set_total(runs.total() + count);
    sweep.set_flops_spent(sweep.flops_spent() + counts.real(2));
    sweep.set_flops_planned(sweep.flops_planned() + counts.real(3));
    switch (state) {
      case RunState::kWaiting:
        runs.set_waiting(count);
        break;
      case RunState::kQueued:
        runs.set_queued(count);
        break;
      case RunState::kRunning:
        runs.set_running(count);
        break;
      case RunState::kSucceeded:
        runs.set_succeeded(count);
        break;
      case RunState::kFailed:
        runs.set_failed(count);
        break;
      case RunState::kCancelled:
        runs.set_cancelled(count);
        break;
      case RunState::kSkipped:
        runs.set_skipped(count);
        break;
    }
  }
  return sweep;
}

std::optional<int32_t> as_id(const std::string& text) {
  int32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(id) : std::nullopt;
}
}  // namespace

absl::StatusOr<v1::Sweep> read_sweep(Connection& connection, const std::string& id_or_name) {
  if (const std::optional<int32_t> id = as_id(id_or_name)) {
    Query row = connection.query("SELECT " SWEEP_COLUMNS "WHERE w.id = ?1", *id);
    if (row.next()) return sweep_of(connection, row);
  }
  Query row = connection.query("SELECT " SWEEP_COLUMNS "WHERE w.name = ?1 ORDER BY w.id DESC LIMIT 1", id_or_name);
  if (row.next()) return sweep_of(connection, row);
  return absl::NotFoundError(fmt::format("sweep: there is no sweep with the id or name \"{}\"", id_or_name));
}

std::vector<v1::Sweep> read_sweeps(Connection& connection, const std::string& study) {
  std::vector<v1::Sweep> sweeps;
  Query row = study.empty() ? connection.query("SELECT " SWEEP_COLUMNS "ORDER BY w.id")
                            : connection.query("SELECT " SWEEP_COLUMNS "WHERE s.name = ?1 ORDER BY w.id", study);
  while (row.next()) sweeps.push_back(sweep_of(connection, row));
  return sweeps;
}

absl::StatusOr<v1::SweepSpec> read_sweep_spec(Connection& connection, int32_t sweep_id) {
  Query row = connection.query("SELECT spec FROM sweeps WHERE id = ?1", sweep_id);
  if (!row.next()) return absl::NotFoundError(fmt::format("sweep: there is no sweep {}", sweep_id));
  v1::SweepSpec spec;
  if (!spec.ParseFromString(row.text(0)))
    return absl::DataLossError(fmt::format("sweep {}: its specification cannot be read", sweep_id));
  return spec;
}

std::vector<v1::Run> read_runs_of_sweep(Connection& connection, int32_t sweep_id) {
  return runs_of(
      connection.query("SELECT " RUN_COLUMNS "FROM sweep_runs x JOIN runs r ON r.id = x.run_id "
                       "JOIN stages t ON t.sweep_id = x.sweep_id AND t.position = x.stage_position " RUN_JOINS
                       "WHERE x.sweep_id = ?1 ORDER BY x.number",
                       sweep_id),
      connection.query("SELECT DISTINCT l.run_id, m.name, l.value FROM sweep_runs x "
                       "JOIN latest_points l ON l.run_id = x.run_id JOIN metrics m ON m.id = l.metric_id "
                       "WHERE x.sweep_id = ?1",
                       sweep_id));
}

std::vector<v1::Run> read_runs_of_study(Connection& connection, const std::string& study) {
  if (study.empty()) {
    return runs_of(connection.query("SELECT " RUN_COLUMNS "FROM runs r " OWN_STAGE RUN_JOINS "ORDER BY r.id"),
                   connection.query("SELECT l.run_id, m.name, l.value FROM latest_points l "
                                    "JOIN metrics m ON m.id = l.metric_id"));
  }
  return runs_of(connection.query(
                     "SELECT " RUN_COLUMNS "FROM runs r " OWN_STAGE RUN_JOINS "WHERE s.name = ?1 ORDER BY r.id", study),
                 connection.query("SELECT l.run_id, m.name, l.value FROM studies s JOIN runs r ON r.study_id = s.id "
                                  "JOIN latest_points l ON l.run_id = r.id JOIN metrics m ON m.id = l.metric_id "
                                  "WHERE s.name = ?1",
                                  study));
}

absl::StatusOr<v1::Run> read_run(Connection& connection, int32_t id) {
  std::vector<v1::Run> runs =
      runs_of(connection.query("SELECT " RUN_COLUMNS "FROM runs r " OWN_STAGE RUN_JOINS "WHERE r.id = ?1", id),
              connection.query("SELECT l.run_id, m.name, l.value FROM latest_points l "
                               "JOIN metrics m ON m.id = l.metric_id WHERE l.run_id = ?1",
                               id));
  if (runs.empty()) return absl::NotFoundError(fmt::format("run_id: there is no run {}", id));
  return std::move(runs.front());
}

absl::StatusOr<std::vector<v1::Curve>> read_curves(Connection& connection, int32_t run_id, const std::string& metric) {
  {
    Query exists = connection.query("SELECT 1 FROM runs WHERE id = ?1", run_id);
    if (!exists.next()) return absl::NotFoundError(fmt::format("run_id: there is no run {}", run_id));
  }
  std::vector<v1::Curve> curves;
  Query row = connection.query(
      "SELECT m.name, p.step, p.samples, p.flops, p.value FROM metrics m JOIN points p ON p.metric_id = m.id "
      "WHERE p.run_id = ?1 AND (?2 = '' OR m.name = ?2) ORDER BY p.metric_id, p.step",
      run_id, metric);
  while (row.next()) {
    if (curves.empty() || curves.back().metric() != row.text(0)) curves.emplace_back().set_metric(row.text(0));
    v1::Point& point = *curves.back().add_points();
    point.set_step(row.long_integer(1));
    point.set_samples(row.long_integer(2));
    point.set_flops(row.real(3));
    point.set_value(row.real(4));
  }
  return curves;
}

std::vector<LogText> read_logs(Connection& connection, int32_t run_id, int64_t after_id, int64_t max_bytes) {
  std::vector<LogText> chunks;
  Query row = connection.query(
      "SELECT c.id, a.number, c.text FROM attempts a JOIN log_chunks c ON c.attempt_id = a.id "
      "WHERE a.run_id = ?1 AND c.id > ?2 ORDER BY c.id",
      run_id, after_id);
  int64_t bytes = 0;
  while (row.next()) {
    chunks.push_back({row.long_integer(0), row.integer(1), row.text(2)});
    bytes += static_cast<int64_t>(chunks.back().text.size());
    if (bytes >= max_bytes) break;
  }
  return chunks;
}

}  // namespace scalelaw::server
