#include "server/store/schedule_reads.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

namespace scalelaw::server {

namespace {
// Below the ports that Linux hands out by itself. One port per attempt: should another program have it, the next
// attempt gets the next.
constexpr uint32_t kFirstMasterPort = 20'000;
constexpr int64_t kMasterPorts = 10'000;

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

absl::Status read_sweep_plans(Connection& connection, StoredSchedule& schedule, int64_t now_ms) {
  std::vector<Snapshot::Sweep>& plans = schedule.snapshot.sweeps;
  std::map<int32_t, size_t> places;
  Query sweeps = connection.query(
      "SELECT w.id, w.max_parallel, w.idempotency_key, w.cancelled, w.state, w.priority, w.owner, w.run_order, "
      "w.limit_flops, w.limit_slot_ms, w.paused, "
      "(SELECT coalesce(sum((coalesce(a.finished_ms, ?1) - a.assigned_ms) * a.slots), 0) FROM attempts a "
      " WHERE a.sweep_id = w.id) FROM sweeps w ORDER BY w.id",
      now_ms);
  while (sweeps.next()) {
    Snapshot::Sweep& sweep = plans.emplace_back();
    sweep.plan.id = SweepId{sweeps.integer(0)};
    sweep.plan.max_parallel = sweeps.integer(1);
    if (!sweeps.null(2)) schedule.idempotency_keys[sweeps.text(2)] = sweep.plan.id;
    sweep.cancelled = sweeps.integer(3) != 0;
    for (const auto state : {SweepState::kSucceeded, SweepState::kFailed, SweepState::kCancelled}) {
      if (sweeps.text(4) == name(state)) sweep.state = state;
    }
    sweep.plan.priority = sweeps.integer(5);
    sweep.plan.owner = sweeps.text(6);
    if (absl::Status status = parse(sweeps.text(7), sweep.plan.order); !status.ok()) return status;
    sweep.plan.limits = {sweeps.real(8), std::chrono::milliseconds(sweeps.long_integer(9))};
    if (!sweeps.null(10)) sweep.paused = sweeps.text(10);
    sweep.slot_time = std::chrono::milliseconds(std::max<int64_t>(0, sweeps.long_integer(11)));
    places[sweep.plan.id.value] = plans.size() - 1;
  }
  Query stages = connection.query(
      "SELECT sweep_id, name, watched_metric, stop_above, stop_worse_than_median_after FROM stages "
      "ORDER BY sweep_id, position");
  while (stages.next()) {
    StagePlan& stage = plans[places[stages.integer(0)]].plan.stages.emplace_back();
    stage.name = stages.text(1);
    stage.early_stopping.metric = stages.text(2);
    if (!stages.null(3)) stage.early_stopping.above = stages.real(3);
    if (!stages.null(4)) stage.early_stopping.worse_than_median_after = stages.real(4);
  }
  Query needs = connection.query("SELECT DISTINCT sweep_id, position, needed FROM stage_needs");
  while (needs.next()) {
    plans[places[needs.integer(0)]].plan.stages[needs.integer(1)].needs.push_back(needs.integer(2));
  }
  Query members = connection.query("SELECT sweep_id, stage_position, run_id FROM sweep_runs ORDER BY sweep_id, number");
  while (members.next()) {
    plans[places[members.integer(0)]].plan.stages[members.integer(1)].runs.push_back(RunId{members.integer(2)});
  }
  return absl::OkStatus();
}

absl::Status read_runs(Connection& connection, StoredSchedule& schedule) {
  Query row = connection.query(
      "SELECT r.id, s.name, r.content_key, r.slots, r.labels, r.max_retries, r.backoff_ms, coalesce(r.budget_kind, "
      "''), coalesce(r.budget, 0), r.state, r.reason, r.failures, r.attempts, r.sweep_id, r.stage_position, "
      "r.workers, r.gpu_model, r.gpu_memory_bytes, r.flops, "
      "r.state = 'running' AND r.workers > 1 AND EXISTS (SELECT 1 FROM attempts a WHERE a.run_id = r.id "
      "  AND a.number = r.attempts AND a.state NOT IN ('assigned', 'running', 'succeeded')), "
      "(SELECT a.worker_id FROM attempts a WHERE a.run_id = r.id AND a.number = r.attempts AND a.rank = 0), "
      "r.stopped_early FROM runs r JOIN studies s ON s.id = r.study_id ORDER BY r.id");
  while (row.next()) {
    Snapshot::Run& run = schedule.snapshot.runs.emplace_back();
    run.plan.id = RunId{row.integer(0)};
    schedule.contents.push_back({row.text(1), row.text(2)});
    run.plan.requirements = {row.integer(3), labels_of(row.text(4)), row.integer(15), row.text(16),
                             row.long_integer(17)};
    run.plan.retries = {row.integer(5), std::chrono::milliseconds(row.long_integer(6))};
    run.plan.size = {budget_kind(row.text(7)), row.real(8)};
    if (absl::Status status = parse(row.text(9), run.state); !status.ok()) return status;
    run.reason = row.text(10);
    run.failures = row.integer(11);
    run.attempts = row.integer(12);
    run.owner = {SweepId{row.integer(13)}, row.integer(14)};
    run.flops = row.real(18);
    run.broken = row.integer(19) != 0;
    if (!row.null(20)) run.last = WorkerId{row.integer(20)};
    run.stopped_early = row.integer(21) != 0;
  }
  return absl::OkStatus();
}

absl::Status read_attempts(Connection& connection, StoredSchedule& schedule) {
  Query row = connection.query(
      "SELECT id, run_id, worker_id, state, events_offset, output_offset, slots, sweep_id, stop FROM attempts "
      "WHERE state IN ('assigned', 'running') ORDER BY id");
  while (row.next()) {
    Snapshot::Attempt& attempt = schedule.snapshot.attempts.emplace_back();
    attempt.id = AttemptId{row.long_integer(0)};
    attempt.run = RunId{row.integer(1)};
    attempt.worker = WorkerId{row.integer(2)};
    if (absl::Status status = parse(row.text(3), attempt.state); !status.ok()) return status;
    schedule.offsets.push_back({row.long_integer(4), row.long_integer(5)});
    attempt.slots = row.integer(6);
    attempt.sweep = SweepId{row.integer(7)};
    if (!row.null(8)) attempt.stop = row.text(8);
  }
  Query last = connection.query(
      "SELECT max(coalesce((SELECT max(id) FROM attempts), 0), "
      "coalesce((SELECT value FROM counters WHERE name = 'attempts'), 0))");
  last.next();
  schedule.snapshot.last_attempt = AttemptId{last.long_integer(0)};
  return absl::OkStatus();
}

absl::Status read_workers(Connection& connection, StoredSchedule& schedule) {
  Query row = connection.query(
      "SELECT id, uid, name, host, version, state, slots, labels, last_seen_ms, gpu_model, gpu_memory_bytes, "
      "places_gangs, drain_reason FROM workers ORDER BY id");
  while (row.next()) {
    KnownWorker& worker = schedule.workers.emplace_back();
    worker.id = WorkerId{row.integer(0)};
    worker.uid = row.text(1);
    worker.name = row.text(2);
    worker.host = row.text(3);
    worker.version = row.text(4);
    if (absl::Status status = parse(row.text(5), worker.state); !status.ok()) return status;
    worker.offer = {row.integer(6), labels_of(row.text(7)), row.text(9), row.long_integer(10), row.integer(11) != 0};
    worker.last_seen_ms = row.long_integer(8);
    schedule.snapshot.workers.push_back({worker.id, worker.state, worker.offer, row.text(12)});
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

absl::StatusOr<StoredSchedule> read_schedule(Connection& connection, int64_t now_ms) {
  StoredSchedule schedule;
  if (absl::Status status = read_sweep_plans(connection, schedule, now_ms); !status.ok()) return status;
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
      "r.slots, s.name, t.name, r.sweep_id, r.stage_position, r.workers, a.rank, k.places_gangs, l.id, lk.host "
      "FROM attempts a JOIN runs r ON r.id = a.run_id JOIN studies s ON s.id = r.study_id "
      "JOIN stages t ON t.sweep_id = r.sweep_id AND t.position = r.stage_position "
      "JOIN workers k ON k.id = a.worker_id "
      "JOIN attempts l ON l.run_id = a.run_id AND l.number = a.number AND l.rank = 0 "
      "JOIN workers lk ON lk.id = l.worker_id WHERE a.id = ?1",
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
  assignment.set_gang_size(static_cast<uint32_t>(row.integer(12)));
  if (row.integer(12) > 1 && row.integer(14) == 0) {
    v1::GangMember& member = *assignment.mutable_gang();
    member.set_rank(static_cast<uint32_t>(row.integer(13)));
    member.set_master_address(row.text(16));
    member.set_master_port(kFirstMasterPort + static_cast<uint32_t>(row.long_integer(15) % kMasterPorts));
  }
  const StageRef owner{SweepId{row.integer(10)}, row.integer(11)};
  if (absl::Status status = resolve_inputs(connection, owner, assignment); !status.ok()) return status;
  return assignment;
}

}  // namespace scalelaw::server
