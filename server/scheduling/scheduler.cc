#include "server/scheduling/scheduler.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
constexpr std::chrono::milliseconds kLongestBackoff{10 * 60 * 1000};

// A transition that the tables forbid is a bug of the scheduler: going on would store a lie.
void must(const absl::Status& status) {
  if (!status.ok()) throw std::logic_error(std::string(status.message()));
}

bool may_hold_attempts(WorkerState state) {
  return state == WorkerState::kReady || state == WorkerState::kDraining || state == WorkerState::kAway;
}

std::chrono::milliseconds backoff(const RetryPolicy& policy, int failures) {
  const int doublings = std::clamp(failures - 1, 0, 30);
  return std::min(kLongestBackoff, policy.backoff * (int64_t{1} << doublings));
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
  }
  for (const Snapshot::Sweep& stored : snapshot.sweeps) {
    add_sweep(stored.plan);
    Sweep& sweep = sweeps_.at(stored.plan.id);
    sweep.cancelled = sweep.decided_cancelled = stored.cancelled;
    sweep.state = stored.state;
  }
  for (const Snapshot::Worker& stored : snapshot.workers) {
    Worker& worker = workers_[stored.id];
    worker.slots = stored.slots;
    worker.labels = stored.labels;
    worker.state = stored.state;
    worker.lease_ends = now + settings_.lease;
    if (may_hold_attempts(stored.state)) set_worker_state(stored.id, worker, WorkerState::kAway);
  }
  for (const Snapshot::Attempt& stored : snapshot.attempts) {
    Run& run = runs_.at(stored.run);
    attempts_[stored.id] = {stored.run, stored.worker, stored.state, false};
    run.current = stored.id;
    Worker& worker = workers_.at(stored.worker);
    worker.attempts.insert(stored.id);
    worker.used += run.plan.requirements.slots;
  }
  for (auto& [id, run] : runs_) {
    if (run.state == RunState::kQueued) enqueue(run);
    if (run.state == RunState::kRunning) ++sweeps_.at(run.owner.sweep).running;
  }
  return handle(Tick{}, now);
}

Decisions Scheduler::handle(const Event& event, Instant now) {
  forgive_own_pause(now);
  std::visit([this](const auto& what) { on(what); }, event);
  expire_leases();
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
      const bool orphan = run.owner.sweep == SweepId{} || (!ended(run.state) && sweeps_.at(run.owner.sweep).cancelled);
      const bool again = ended(run.state) && run.state != RunState::kSucceeded;
      if (orphan || again) give_to(run, ref);
      if (again) ask_again(run);
    }
  }
}

void Scheduler::add_sweep(const SweepPlan& plan) {
  Sweep& sweep = sweeps_[plan.id];
  sweep.max_parallel = plan.max_parallel;
  for (const StagePlan& stage_plan : plan.stages) sweep.stages.emplace_back().plan = stage_plan;
  for (size_t position = 0; position < sweep.stages.size(); ++position) {
    const StageRef ref{plan.id, static_cast<int>(position)};
    for (const int need : plan.stages[position].needs) sweep.stages[need].dependents.push_back(ref.stage);
    for (const RunId id : plan.stages[position].runs) {
      Run& run = runs_.at(id);
      run.members.push_back(ref);
      ++sweep.stages[position].counts[static_cast<size_t>(run.state)];
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
  sweeps_to_settle_.insert(event.sweep);
  // What waits goes first, or it would be skipped for want of what is cancelled before it.
  for (const RunState state : {RunState::kWaiting, RunState::kQueued, RunState::kRunning}) {
    for (Stage& stage : sweep.stages) {
      for (const RunId id : stage.plan.runs) {
        Run& run = runs_.at(id);
        if (run.state != state || run.owner.sweep != event.sweep) continue;
        const auto other = std::find_if(run.members.begin(), run.members.end(),
                                        [this](StageRef ref) { return !sweeps_.at(ref.sweep).cancelled; });
        if (other != run.members.end()) {
          give_to(run, *other);
        } else if (run.state == RunState::kRunning) {
          request_stop(*run.current, attempts_.at(*run.current), "the sweep was cancelled");
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
  move(run, RunState::kWaiting, "");
  stage(run.owner).settled.reset();
  gates_to_settle_.insert(run.owner);
}

void Scheduler::on(const WorkerJoined& event) {
  Worker& worker = workers_[event.worker];
  worker.slots = event.slots;
  worker.labels = event.labels;
  worker.lease_ends = now_ + settings_.lease;
  set_worker_state(event.worker, worker, WorkerState::kReady);
  const std::set<AttemptId> before = worker.attempts;
  for (const AttemptId id : before) {
    if (std::find(event.held.begin(), event.held.end(), id) == event.held.end()) {
      end(id, {id, AttemptState::kLost, std::nullopt, "its worker restarted and no longer knows it", false});
    } else if (Attempt& attempt = attempts_.at(id); !wanted(runs_.at(attempt.run))) {
      request_stop(id, attempt, "the sweep was cancelled");
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

void Scheduler::expire_leases() {
  for (auto& [id, worker] : workers_) {
    if (!may_hold_attempts(worker.state) || worker.lease_ends > now_) continue;
    const std::set<AttemptId> attempts = worker.attempts;
    for (const AttemptId attempt : attempts) {
      const std::string reason =
          fmt::format("its worker was silent for more than {} s", settings_.lease.count() / 1000.0);
      end(attempt, {attempt, AttemptState::kLost, std::nullopt, reason, false});
    }
    set_worker_state(id, worker, WorkerState::kLost);
  }
}

void Scheduler::end(AttemptId id, const AttemptEnded& how) {
  Attempt attempt = attempts_.at(id);
  must(transition(attempt.state, how.outcome));
  attempts_.erase(id);
  decisions_.attempts.push_back({id, how.outcome, how.exit_code, how.reason});
  Run& run = runs_.at(attempt.run);
  Worker& worker = workers_.at(attempt.worker);
  worker.attempts.erase(id);
  worker.used -= run.plan.requirements.slots;
  run.current.reset();
  finish_run(run, attempt, how);
}

void Scheduler::finish_run(Run& run, const Attempt& attempt, const AttemptEnded& how) {
  if (how.outcome == AttemptState::kSucceeded) {
    move(run, RunState::kSucceeded, "");
  } else if (!wanted(run)) {
    move(run, RunState::kCancelled, "the sweep was cancelled");
  } else if (how.outcome == AttemptState::kLost) {
    requeue(run, std::chrono::milliseconds(0), how.reason);
  } else if (how.outcome != AttemptState::kFailed) {
    // Interrupted. Asked to stop: at once, elsewhere. By itself: not in a tight loop.
    const bool asked = attempt.stop_requested || workers_.at(attempt.worker).state != WorkerState::kReady;
    requeue(run, asked ? std::chrono::milliseconds(0) : run.plan.retries.backoff, "interrupted after a checkpoint");
  } else if (how.permanent) {
    move(run, RunState::kFailed, how.reason);
  } else if (how.infrastructure) {
    requeue(run, kInfrastructurePause, how.reason);
  } else if (++run.failures > run.plan.retries.max) {
    move(run, RunState::kFailed,
         run.failures > 1 ? fmt::format("{} (tried {} times)", how.reason, run.failures) : how.reason);
  } else {
    requeue(run, backoff(run.plan.retries, run.failures),
            fmt::format("retry {} of {} after: {}", run.failures, run.plan.retries.max, how.reason));
  }
}

void Scheduler::requeue(Run& run, std::chrono::milliseconds delay, std::string reason) {
  run.not_before = now_ + delay;
  move(run, RunState::kQueued, std::move(reason));
}

void Scheduler::request_stop(AttemptId id, Attempt& attempt, const std::string& reason) {
  attempt.stop_requested = true;
  decisions_.stops.push_back({id, attempt.worker, reason});
}

// The only place where a run changes its state: everything that depends on it is kept in step here.
void Scheduler::move(Run& run, RunState next, std::string reason) {
  const RunState before = run.state;
  if (before == RunState::kQueued) dequeue(run);
  if (before == RunState::kRunning) --sweeps_.at(run.owner.sweep).running;
  must(transition(run.state, next));
  run.reason = std::move(reason);
  if (next == RunState::kQueued) enqueue(run);
  if (next == RunState::kRunning) ++sweeps_.at(run.owner.sweep).running;
  for (const StageRef ref : run.members) {
    Stage& member_of = stage(ref);
    --member_of.counts[static_cast<size_t>(before)];
    ++member_of.counts[static_cast<size_t>(next)];
    sweeps_to_settle_.insert(ref.sweep);
    if (!ended(before) && !ended(next)) continue;
    for (const int dependent : member_of.dependents) gates_to_settle_.insert({ref.sweep, dependent});
  }
  decisions_.runs.push_back({run.plan.id, run.state, run.reason, run.failures, run.owner});
}

void Scheduler::give_to(Run& run, StageRef owner) {
  if (run.state == RunState::kQueued) dequeue(run);
  if (run.state == RunState::kRunning) {
    --sweeps_.at(run.owner.sweep).running;
    ++sweeps_.at(owner.sweep).running;
    sweeps_to_settle_.insert(run.owner.sweep);
  }
  run.owner = owner;
  if (run.state == RunState::kQueued) enqueue(run);
  stage(owner).settled.reset();
  gates_to_settle_.insert(owner);
  decisions_.runs.push_back({run.plan.id, run.state, run.reason, run.failures, run.owner});
}

bool Scheduler::wanted(const Run& run) const {
  return std::any_of(run.members.begin(), run.members.end(),
                     [this](StageRef ref) { return !sweeps_.at(ref.sweep).cancelled; });
}

Scheduler::Gate Scheduler::gate(StageRef ref, std::string* why) const {
  Gate result = Gate::kOpen;
  for (const int need : stage(ref).plan.needs) {
    const Stage& needed = stage({ref.sweep, need});
    for (const RunState bad : {RunState::kFailed, RunState::kCancelled, RunState::kSkipped}) {
      if (needed.counts[static_cast<size_t>(bad)] == 0) continue;
      if (why != nullptr) {
        const RunId culprit = *std::find_if(needed.plan.runs.begin(), needed.plan.runs.end(),
                                            [&](RunId id) { return runs_.at(id).state == bad; });
        *why = fmt::format("stage \"{}\" is needed, and its run {} was {}", needed.plan.name, culprit.value,
                           bad == RunState::kFailed ? "not successful" : name(bad));
        const std::string& reason = runs_.at(culprit).reason;
        if (!reason.empty()) *why += ": " + reason;
      }
      return Gate::kBlocked;
    }
    if (needed.counts[static_cast<size_t>(RunState::kSucceeded)] < static_cast<int>(needed.plan.runs.size())) {
      result = Gate::kPending;
    }
  }
  return result;
}

// Skipping a run may close further gates, so this goes on until nothing changes.
void Scheduler::settle_gates() {
  while (!gates_to_settle_.empty()) {
    const StageRef ref = *gates_to_settle_.begin();
    gates_to_settle_.erase(gates_to_settle_.begin());
    if (sweeps_.at(ref.sweep).cancelled) continue;
    std::string why;
    const Gate now = gate(ref, &why);
    if (stage(ref).settled == now) continue;
    stage(ref).settled = now;
    for (const RunId id : stage(ref).plan.runs) {
      Run& run = runs_.at(id);
      if (run.owner != ref) continue;
      const bool waits = run.state == RunState::kWaiting;
      const bool skipped = run.state == RunState::kSkipped;
      if (now == Gate::kOpen && (waits || skipped)) move(run, RunState::kQueued, "");
      if (now == Gate::kPending && skipped) move(run, RunState::kWaiting, "");
      if (now == Gate::kBlocked && waits) move(run, RunState::kSkipped, why);
    }
  }
}

void Scheduler::settle_sweeps() {
  for (const SweepId id : sweeps_to_settle_) {
    Sweep& sweep = sweeps_.at(id);
    std::array<int, 8> counts{};
    for (const Stage& stage : sweep.stages) {
      for (size_t i = 0; i < counts.size(); ++i) counts[i] += stage.counts[i];
    }
    const auto count = [&counts](RunState state) { return counts[static_cast<size_t>(state)]; };
    const int active = count(RunState::kWaiting) + count(RunState::kQueued) + count(RunState::kRunning);
    SweepState state = SweepState::kSucceeded;
    if (sweep.cancelled) {
      state = sweep.running > 0 ? SweepState::kRunning : SweepState::kCancelled;
    } else if (active > 0) {
      state = SweepState::kRunning;
    } else if (count(RunState::kFailed) + count(RunState::kSkipped) > 0) {
      state = SweepState::kFailed;
    } else if (count(RunState::kCancelled) > 0) {
      state = SweepState::kCancelled;
    }
    if (state != sweep.state || sweep.cancelled != sweep.decided_cancelled) {
      decisions_.sweeps.push_back({id, state, sweep.cancelled});
    }
    sweep.decided_cancelled = sweep.cancelled;
    sweep.state = state;
  }
  sweeps_to_settle_.clear();
}

void Scheduler::set_worker_state(WorkerId id, Worker& worker, WorkerState state) {
  worker.state = state;
  decisions_.workers.push_back({id, state});
}

std::optional<Instant> Scheduler::next_due() const {
  std::optional<Instant> due;
  const auto consider = [&due](Instant at) { due = due.has_value() ? std::min(*due, at) : at; };
  if (!delayed_.empty()) consider(delayed_.begin()->first);
  for (const auto& [id, worker] : workers_) {
    if (may_hold_attempts(worker.state)) consider(worker.lease_ends);
  }
  return due;
}

}  // namespace scalelaw::server
