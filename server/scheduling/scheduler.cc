#include "server/scheduling/scheduler.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
// A transition that the tables forbid is a bug of the scheduler: going on would store a lie.
void must(const absl::Status& status) {
  if (!status.ok()) throw std::logic_error(std::string(status.message()));
}

bool may_hold_attempts(WorkerState state) {
  return state == WorkerState::kReady || state == WorkerState::kDraining || state == WorkerState::kAway;
}
}  // namespace

bool Decisions::empty() const {
  return attempts.empty() && runs.empty() && assignments.empty() && sweeps.empty() && workers.empty() && stops.empty();
}

Decisions Scheduler::restore(const Snapshot& snapshot, Instant now) {
  now_ = now;
  started_ = true;
  last_attempt_ = snapshot.last_attempt;
  for (const Snapshot::Run& stored : snapshot.runs) {
    Run& run = runs_[stored.plan.id];
    run.plan = stored.plan;
    run.state = stored.state;
    run.reason = stored.reason;
    run.failures = stored.failures;
    run.attempts = stored.attempts;
    run.owner = stored.owner;
    run.flops = stored.flops;
    run.last = stored.last;
    run.stopped_early = stored.stopped_early;
    if (stored.broken) run.verdict = Verdict{{{}, AttemptState::kLost, std::nullopt, stored.reason}, std::nullopt};
  }
  for (const Snapshot::Sweep& stored : snapshot.sweeps) {
    add_sweep(stored.plan);
    Sweep& sweep = sweeps_.at(stored.plan.id);
    sweep.cancelled = stored.cancelled;
    sweep.paused = stored.paused;
    sweep.state = stored.state;
    sweep.decided = {sweep.state, sweep.cancelled, sweep.paused};
    sweep.slot_time = stored.slot_time;
    sweep.accrued = now;
  }
  for (const Snapshot::Worker& stored : snapshot.workers) {
    Worker& worker = workers_[stored.id];
    static_cast<Offer&>(worker) = stored.offer;
    worker.state = stored.state;
    worker.drain_reason = stored.drain_reason;
    worker.lease_ends = now + settings_.lease;
    if (may_hold_attempts(stored.state)) set_worker_state(stored.id, worker, WorkerState::kAway);
  }
  for (const Snapshot::Attempt& stored : snapshot.attempts) {
    Sweep& sweep = sweeps_.at(stored.sweep);
    attempts_[stored.id] = {stored.run,   stored.worker,  stored.state, stored.slots,
                            stored.sweep, sweep.priority, stored.stop};
    runs_.at(stored.run).current.push_back(stored.id);
    Worker& worker = workers_.at(stored.worker);
    worker.attempts.insert(stored.id);
    if (stored.stop.has_value()) {
      stopping(stored.worker, worker, stored.slots);
    } else {
      offer(stored.worker, sweep.priority, stored.slots);
    }
    take(stored.worker, worker, stored.slots);
    charge(sweep, stored.slots);
  }
  for (auto& [id, run] : runs_) {
    if (run.owner.sweep != SweepId{}) sweeps_.at(run.owner.sweep).flops += run.flops;
    if (run.state == RunState::kQueued) enqueue(run);
    if (run.state == RunState::kRunning) ++sweeps_.at(run.owner.sweep).running;
  }
  no_lease_before_ = now + settings_.lease;
  return handle(Tick{}, now);
}

Decisions Scheduler::handle(const Event& event, Instant now) {
  forgive_own_pause(now);
  std::visit([this](const auto& what) { on(what); }, event);
  expire_leases();
  check_limits();
  settle_gates();
  release_delayed();
  place();
  settle_sweeps();
  return std::exchange(decisions_, {});
}

// Nobody could be heard while the server itself stood still, so nobody's silence counts for that time.
void Scheduler::forgive_own_pause(Instant now) {
  const std::chrono::milliseconds gap = now - now_;
  if (started_ && gap > settings_.lease / 2) {
    for (auto& [id, worker] : workers_) worker.lease_ends += gap;
  }
  now_ = started_ ? std::max(now, now_) : now;
  started_ = true;
}

void Scheduler::on(const SweepSubmitted& event) {
  for (const RunPlan& plan : event.new_runs) runs_[plan.id].plan = plan;
  add_sweep(event.sweep);
  for (size_t position = 0; position < event.sweep.stages.size(); ++position) {
    const StageRef ref{event.sweep.id, static_cast<int>(position)};
    for (const RunId id : event.sweep.stages[position].runs) {
      Run& run = runs_.at(id);
      // A run that nobody else waits for is trained for this sweep from now on.
      const bool orphan = run.owner.sweep == SweepId{} ||
                          (!ended(run.state) && (sweeps_.at(run.owner.sweep).cancelled || paused(run.owner.sweep)));
      const bool again = ended(run.state) && run.state != RunState::kSucceeded && !run.stopped_early;
      if (orphan || again) give_to(run, ref);
      if (again) ask_again(run);
    }
  }
}

void Scheduler::add_sweep(const SweepPlan& plan) {
  Sweep& sweep = sweeps_[plan.id];
  sweep.max_parallel = plan.max_parallel;
  sweep.priority = plan.priority;
  sweep.owner = plan.owner;
  sweep.order = plan.order;
  sweep.limits = plan.limits;
  if (plan.limits.flops > 0 || plan.limits.slot_time.count() > 0) limited_.insert(plan.id);
  for (const StagePlan& stage_plan : plan.stages) sweep.stages.emplace_back().plan = stage_plan;
  for (size_t position = 0; position < sweep.stages.size(); ++position) {
    const StageRef ref{plan.id, static_cast<int>(position)};
    for (const int need : plan.stages[position].needs) sweep.stages[need].dependents.push_back(ref.stage);
    for (const RunId id : plan.stages[position].runs) {
      Run& run = runs_.at(id);
      run.members.push_back(ref);
      ++sweep.stages[position].counts[static_cast<size_t>(run.state)];
      sweep.stages[position].stopped_early += run.stopped_early;
    }
    gates_to_settle_.insert(ref);
  }
  // The stages form no cycle, so after as many rounds as there are stages every chain has its full length.
  for (size_t round = 0; round < sweep.stages.size(); ++round) {
    for (Stage& stage : sweep.stages) {
      for (const int dependent : stage.dependents) {
        stage.height = std::max(stage.height, sweep.stages[dependent].height + 1);
      }
    }
  }
  sweeps_to_settle_.insert(plan.id);
}

void Scheduler::on(const SweepCancelled& event) {
  Sweep& sweep = sweeps_.at(event.sweep);
  sweep.cancelled = true;
  sweep.paused.reset();
  sweeps_to_settle_.insert(event.sweep);
  // What waits goes first, or it would be skipped for want of what is cancelled before it.
  for (const RunState state : {RunState::kWaiting, RunState::kQueued, RunState::kRunning}) {
    for (Stage& stage : sweep.stages) {
      for (const RunId id : stage.plan.runs) {
        Run& run = runs_.at(id);
        if (run.state != state || run.owner.sweep != event.sweep || hand_over(run, /*also_to_paused=*/true)) {
          continue;
        }
        if (run.state == RunState::kRunning) {
          stop_all(run, "the sweep was cancelled");
        } else {
          move(run, RunState::kCancelled, "the sweep was cancelled");
        }
      }
    }
  }
}

absl::Status Scheduler::may_retry(RunId id) const {
  const auto found = runs_.find(id);
  if (found == runs_.end()) return absl::NotFoundError(fmt::format("run_id: there is no run {}", id.value));
  const Run& run = found->second;
  if (!ended(run.state) || run.state == RunState::kSucceeded) {
    return absl::FailedPreconditionError(
        fmt::format("run_id: run {} is {}; only failed, cancelled and skipped runs can be queued again", id.value,
                    name(run.state)));
  }
  std::string why;
  if (gate(run.owner, &why) == Gate::kBlocked) {
    return absl::FailedPreconditionError(fmt::format("run_id: run {} would be skipped again: {}", id.value, why));
  }
  return absl::OkStatus();
}

void Scheduler::on(const RunRetried& event) {
  if (!may_retry(event.run).ok()) return;
  Run& run = runs_.at(event.run);
  sweeps_.at(run.owner.sweep).cancelled = false;
  ask_again(run);
}

void Scheduler::ask_again(Run& run) {
  run.failures = 0;
  run.failed_on.clear();
  run.avoid.reset();
  run.best.reset();
  run.compared.reset();
  move(run, RunState::kWaiting, "");
  sweeps_.at(run.owner.sweep).state = SweepState::kRunning;
  stage(run.owner).settled.reset();
  gates_to_settle_.insert(run.owner);
}

void Scheduler::on(const WorkerJoined& event) {
  Worker& worker = workers_[event.worker];
  static_cast<Offer&>(worker) = event.offer;
  fitting_.clear();
  worker.lease_ends = now_ + settings_.lease;
  no_lease_before_ = std::min(no_lease_before_, worker.lease_ends);
  set_worker_state(event.worker, worker, worker.drain_reason.empty() ? WorkerState::kReady : WorkerState::kDraining);
  const std::set<AttemptId> before = worker.attempts;
  for (const AttemptId id : before) {
    // The end of one member may have stopped others here.
    if (!live(id)) continue;
    if (std::find(event.held.begin(), event.held.end(), id) == event.held.end()) {
      end(id, {id, AttemptState::kLost, std::nullopt, "its worker restarted and no longer knows it", false});
    } else if (const std::optional<std::string>& stop = attempts_.at(id).stop) {
      decisions_.stops.push_back({id, event.worker, *stop});
    }
  }
}

void Scheduler::on(const WorkerHeard& event) {
  const auto found = workers_.find(event.worker);
  if (found != workers_.end()) found->second.lease_ends = now_ + settings_.lease;
}

void Scheduler::on(const WorkerDraining& event) {
  Worker& worker = workers_.at(event.worker);
  worker.lease_ends = now_ + settings_.lease;
  if (worker.state == WorkerState::kReady) set_worker_state(event.worker, worker, WorkerState::kDraining);
}

void Scheduler::on(const WorkerDrained& event) {
  Worker& worker = workers_.at(event.worker);
  worker.drain_reason = event.reason;
  set_worker_state(event.worker, worker, worker.state == WorkerState::kReady ? WorkerState::kDraining : worker.state);
}

void Scheduler::on(const WorkerUndrained& event) {
  Worker& worker = workers_.at(event.worker);
  if (worker.drain_reason.empty()) return;
  worker.drain_reason.clear();
  worker.faults = 0;
  set_worker_state(event.worker, worker, worker.state == WorkerState::kDraining ? WorkerState::kReady : worker.state);
}

void Scheduler::on(const WorkerLeft& event) {
  Worker& worker = workers_.at(event.worker);
  if (!may_hold_attempts(worker.state)) return;
  const bool done = worker.state == WorkerState::kDraining && worker.attempts.empty();
  set_worker_state(event.worker, worker, done ? WorkerState::kGone : WorkerState::kAway);
}

void Scheduler::on(const AttemptStarted& event) {
  const auto found = attempts_.find(event.attempt);
  if (found == attempts_.end() || found->second.state != AttemptState::kAssigned) return;
  must(transition(found->second.state, AttemptState::kRunning));
  decisions_.attempts.push_back({event.attempt, AttemptState::kRunning, std::nullopt, ""});
}

void Scheduler::on(const AttemptEnded& event) {
  if (live(event.attempt)) end(event.attempt, event);
}

void Scheduler::on(const Tick&) {}

// Looks at all workers only when one of them can be due: leases do nothing but grow.
void Scheduler::expire_leases() {
  if (now_ < no_lease_before_) return;
  no_lease_before_ = now_ + settings_.lease;
  for (auto& [id, worker] : workers_) {
    if (!may_hold_attempts(worker.state)) continue;
    if (worker.lease_ends > now_) {
      no_lease_before_ = std::min(no_lease_before_, worker.lease_ends);
      continue;
    }
    const std::set<AttemptId> attempts = worker.attempts;
    for (const AttemptId attempt : attempts) {
      const std::string reason =
          fmt::format("its worker was silent for more than {} s", settings_.lease.count() / 1000.0);
      end(attempt, {attempt, AttemptState::kLost, std::nullopt, reason, false});
    }
    set_worker_state(id, worker, WorkerState::kLost);
  }
}

// The only place where a run changes its state: everything that depends on it is kept in step here.
void Scheduler::move(Run& run, RunState next, std::string reason) {
  const RunState before = run.state;
  if (before == RunState::kQueued) dequeue(run);
  if (before == RunState::kRunning) {
    --sweeps_.at(run.owner.sweep).running;
    // Another of its runs may start now, also in the place of a smaller one.
    if (sweeps_.at(run.owner.sweep).max_parallel > 0) may_preempt_ = may_place_ = true;
  }
  must(transition(run.state, next));
  run.reason = std::move(reason);
  if (next == RunState::kQueued) enqueue(run);
  if (next == RunState::kRunning) ++sweeps_.at(run.owner.sweep).running;
  const bool was_stopped_early = run.stopped_early && next != RunState::kCancelled;
  if (was_stopped_early) run.stopped_early = false;
  for (const StageRef ref : run.members) {
    Stage& member_of = stage(ref);
    --member_of.counts[static_cast<size_t>(before)];
    ++member_of.counts[static_cast<size_t>(next)];
    member_of.stopped_early += run.stopped_early - was_stopped_early;
    sweeps_to_settle_.insert(ref.sweep);
    if (!ended(before) && !ended(next)) continue;
    for (const int dependent : member_of.dependents) gates_to_settle_.insert({ref.sweep, dependent});
  }
  decisions_.runs.push_back({run.plan.id, run.state, run.reason, run.failures, run.owner, run.stopped_early});
}

void Scheduler::give_to(Run& run, StageRef owner) {
  if (run.state == RunState::kQueued) dequeue(run);
  if (run.state == RunState::kRunning) {
    --sweeps_.at(run.owner.sweep).running;
    ++sweeps_.at(owner.sweep).running;
    sweeps_to_settle_.insert(run.owner.sweep);
    reconsider(run.owner.sweep);
  }
  if (run.owner.sweep != SweepId{}) sweeps_.at(run.owner.sweep).flops -= run.flops;
  sweeps_.at(owner.sweep).flops += run.flops;
  run.owner = owner;
  if (run.state == RunState::kQueued) enqueue(run);
  stage(owner).settled.reset();
  gates_to_settle_.insert(owner);
  decisions_.runs.push_back({run.plan.id, run.state, run.reason, run.failures, run.owner, run.stopped_early});
}

// To another sweep that wants it, if there is one: rather to one that goes on than to one that is paused.
bool Scheduler::hand_over(Run& run, bool also_to_paused) {
  for (const bool paused : {false, true}) {
    if (paused && !also_to_paused) break;
    for (const StageRef ref : run.members) {
      const Sweep& sweep = sweeps_.at(ref.sweep);
      if (sweep.cancelled || sweep.paused.has_value() != paused) continue;
      give_to(run, ref);
      if (paused) stop_all(run, "paused: " + *sweep.paused);
      return true;
    }
  }
  return false;
}

void Scheduler::set_worker_state(WorkerId id, Worker& worker, WorkerState state) {
  worker.state = state;
  take(id, worker, 0);
  if (state == WorkerState::kReady) reconsider(std::nullopt);
  decisions_.workers.push_back({id, state, worker.drain_reason});
}

std::optional<Instant> Scheduler::next_due() const {
  std::optional<Instant> due;
  const auto consider = [&due](Instant at) { due = due.has_value() ? std::min(*due, at) : at; };
  if (!delayed_.empty()) consider(delayed_.begin()->first);
  if (!workers_.empty()) consider(no_lease_before_);
  for (const SweepId id : limited_) {
    const Sweep& sweep = sweeps_.at(id);
    if (sweep.limits.slot_time.count() == 0 || sweep.slots == 0 || sweep.paused.has_value()) continue;
    const std::chrono::milliseconds left = sweep.limits.slot_time - sweep.slot_time;
    consider(std::max(now_, sweep.accrued + std::max(left, Instant(0)) / sweep.slots + Instant(1)));
  }
  return due;
}

}  // namespace scalelaw::server
