#include "server/store/schedule_reads.h"

#include <map>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

namespace scalelaw::server {

namespace {
using Labels = std::map<std::string, std::string>;

Labels labels_of(const std::string& json) {
  return nlohmann::json::parse(json).get<Labels>();
}

BudgetKind budget_kind(const std::string& word) {
  if (word == "flops") return BudgetKind::kFlops;
  if (word == "samples") return BudgetKind::kSamples;
  if (word == "steps") return BudgetKind::kSteps;
  return BudgetKind::kNone;
}

void read_sweep_plans(Connection& connection, StoredSchedule& schedule) {
  std::vector<Snapshot::Sweep>& plans = schedule.snapshot.sweeps;
  std::map<int32_t, size_t> places;
  Query sweeps = connection.query("SELECT id, max_parallel, idempotency_key, cancelled, state FROM sweeps ORDER BY id");
  while (sweeps.next()) {
    Snapshot::Sweep& sweep = plans.emplace_back();
    sweep.plan.id = SweepId{sweeps.integer(0)};
    sweep.plan.max_parallel = sweeps.integer(1);
    if (!sweeps.null(2)) schedule.idempotency_keys[sweeps.text(2)] = sweep.plan.id;
    sweep.cancelled = sweeps.integer(3) != 0;
    for (const auto state : {SweepState::kSucceeded, SweepState::kFailed, SweepState::kCancelled}) {
      if (sweeps.text(4) == name(state)) sweep.state = state;
    }
    places[sweep.plan.id.value] = plans.size() - 1;
  }
  Query stages = connection.query("SELECT sweep_id, name FROM stages ORDER BY sweep_id, position");
  while (stages.next()) plans[places[stages.integer(0)]].plan.stages.emplace_back().name = stages.text(1);
  Query needs = connection.query("SELECT DISTINCT sweep_id, position, needed FROM stage_needs");
  while (needs.next()) {
    plans[places[needs.integer(0)]].plan.stages[needs.integer(1)].needs.push_back(needs.integer(2));
  }
  Query members = connection.query("SELECT sweep_id, stage_position, run_id FROM sweep_runs ORDER BY sweep_id, number");
  while (members.next()) {
    plans[places[members.integer(0)]].plan.stages[members.integer(1)].runs.push_back(RunId{members.integer(2)});
  }
}

absl::Status read_runs(Connection& connection, StoredSchedule& schedule) {
  Query row = connection.query(
      "SELECT r.id, s.name, r.content_key, r.slots, r.labels, r.max_retries, r.backoff_ms, coalesce(r.budget_kind, "
      "''), "
      "coalesce(r.budget, 0), r.state, r.reason, r.failures, r.attempts, r.sweep_id, r.stage_position "
      "FROM runs r JOIN studies s ON s.id = r.study_id ORDER BY r.id");
  while (row.next()) {
    Snapshot::Run& run = schedule.snapshot.runs.emplace_back();
    run.plan.id = RunId{row.integer(0)};
    schedule.contents.push_back({row.text(1), row.text(2)});
    run.plan.requirements = {row.integer(3), labels_of(row.text(4))};
    run.plan.retries = {row.integer(5), std::chrono::milliseconds(row.long_integer(6))};
    run.plan.size = {budget_kind(row.text(7)), row.real(8)};
    if (absl::Status status = parse(row.text(9), run.state); !status.ok()) return status;
    run.reason = row.text(10);
    run.failures = row.integer(11);
    run.attempts = row.integer(12);
    run.owner = {SweepId{row.integer(13)}, row.integer(14)};
  }
  return absl::OkStatus();
}

absl::Status read_attempts(Connection& connection, StoredSchedule& schedule) {
  Query row = connection.query(
      "SELECT id, run_id, worker_id, state, events_offset, output_offset FROM attempts "
      "WHERE state IN ('assigned', 'running') ORDER BY id");
  while (row.next()) {
    Snapshot::Attempt& attempt = schedule.snapshot.attempts.emplace_back();
    attempt.id = AttemptId{row.long_integer(0)};
    attempt.run = RunId{row.integer(1)};
    attempt.worker = WorkerId{row.integer(2)};
    if (absl::Status status = parse(row.text(3), attempt.state); !status.ok()) return status;
    schedule.offsets.push_back({row.long_integer(4), row.long_integer(5)});
  }
  Query last = connection.query("SELECT coalesce(max(id), 0) FROM attempts");
  last.next();
  schedule.snapshot.last_attempt = AttemptId{last.long_integer(0)};
  return absl::OkStatus();
}

absl::Status read_workers(Connection& connection, StoredSchedule& schedule) {
  Query row = connection.query(
      "SELECT id, uid, name, host, version, state, slots, labels, last_seen_ms FROM workers ORDER BY id");
  while (row.next()) {
    KnownWorker& worker = schedule.workers.emplace_back();
    worker.id = WorkerId{row.integer(0)};
    worker.uid = row.text(1);
    worker.name = row.text(2);
    worker.host = row.text(3);
    worker.version = row.text(4);
    if (absl::Status status = parse(row.text(5), worker.state); !status.ok()) return status;
    worker.slots = row.integer(6);
    worker.labels = labels_of(row.text(7));
    worker.last_seen_ms = row.long_integer(8);
    schedule.snapshot.workers.push_back({worker.id, worker.state, worker.slots, worker.labels});
  }
  return absl::OkStatus();
}

void set_budget(v1::Assignment& assignment, BudgetKind kind, double amount) {
  switch (kind) {
    case BudgetKind::kFlops:
      assignment.set_budget_flops(amount);
      break;
    case BudgetKind::kSamples:
      assignment.set_budget_samples(static_cast<int64_t>(amount));
      break;
    case BudgetKind::kSteps:
      assignment.set_budget_steps(static_cast<int64_t>(amount));
      break;
    case BudgetKind::kNone:
      break;
  }
}

/// Artifact name -> path, for each artifact that the stage needs.
absl::Status resolve_inputs(Connection& connection, StageRef owner, v1::Assignment& assignment) {
  Query need = connection.query(
      "SELECT n.artifact, t.name, (SELECT f.path FROM sweep_runs x JOIN runs r ON r.id = x.run_id "
      "  JOIN artifacts f ON f.run_id = r.id AND f.name = n.artifact "
      "  WHERE x.sweep_id = n.sweep_id AND x.stage_position = n.needed AND r.state = 'succeeded' "
      "  ORDER BY x.number LIMIT 1) "
      "FROM stage_needs n JOIN stages t ON t.sweep_id = n.sweep_id AND t.position = n.needed "
      "WHERE n.sweep_id = ?1 AND n.position = ?2",
      owner.sweep.value, owner.stage);
  while (need.next()) {
    if (need.null(2)) {
      return absl::FailedPreconditionError(
          fmt::format("no run of stage \"{}\" made the artifact \"{}\"", need.text(1), need.text(0)));
    }
    (*assignment.mutable_inputs())[need.text(0)] = need.text(2);
  }
  return absl::OkStatus();
}
}  // namespace

absl::StatusOr<StoredSchedule> read_schedule(Connection& connection) {
  StoredSchedule schedule;
  read_sweep_plans(connection, schedule);
  for (const auto read : {read_runs, read_attempts, read_workers}) {
    if (absl::Status status = read(connection, schedule); !status.ok()) return status;
  }
  return schedule;
}

absl::StatusOr<AttemptRecord> read_attempt(Connection& connection, AttemptId id) {
  Query row = connection.query("SELECT run_id, worker_id, state FROM attempts WHERE id = ?1", id.value);
  if (!row.next()) return absl::NotFoundError(fmt::format("attempt_id: there is no attempt {}", id.value));
  AttemptRecord record{RunId{row.integer(0)}, WorkerId{row.integer(1)}, {}};
  if (absl::Status status = parse(row.text(2), record.state); !status.ok()) return status;
  return record;
}

absl::StatusOr<v1::Assignment> read_assignment(Connection& connection, AttemptId id) {
  Query row = connection.query(
      "SELECT a.number, r.id, r.command, r.params, coalesce(r.budget_kind, ''), coalesce(r.budget, 0), r.seed, "
      "r.slots, "
      "s.name, t.name, r.sweep_id, r.stage_position "
      "FROM attempts a JOIN runs r ON r.id = a.run_id JOIN studies s ON s.id = r.study_id "
      "JOIN stages t ON t.sweep_id = r.sweep_id AND t.position = r.stage_position WHERE a.id = ?1",
      id.value);
  if (!row.next()) return absl::NotFoundError(fmt::format("attempt_id: there is no attempt {}", id.value));
  v1::Assignment assignment;
  assignment.set_attempt_id(id.value);
  assignment.set_attempt_number(row.integer(0));
  assignment.set_run_id(row.integer(1));
  for (const std::string& word : nlohmann::json::parse(row.text(2)).get<std::vector<std::string>>()) {
    assignment.add_command(word);
  }
  // Written by us from a Struct: it reads back.
  (void)google::protobuf::util::JsonStringToMessage(row.text(3), assignment.mutable_params());
  set_budget(assignment, budget_kind(row.text(4)), row.real(5));
  assignment.set_seed(row.long_integer(6));
  assignment.set_slots(static_cast<uint32_t>(row.integer(7)));
  assignment.set_study(row.text(8));
  assignment.set_stage(row.text(9));
  const StageRef owner{SweepId{row.integer(10)}, row.integer(11)};
  if (absl::Status status = resolve_inputs(connection, owner, assignment); !status.ok()) return status;
  return assignment;
}

}  // namespace scalelaw::server
