#include "tests/sim/ledger.h"

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
template <class... Arguments>
void require(bool holds, fmt::format_string<Arguments...> message, Arguments&&... arguments) {
  if (!holds) throw Violation(fmt::format(message, std::forward<Arguments>(arguments)...));
}
}  // namespace

void Ledger::submit(const SweepSubmitted& event) {
  for (const RunPlan& plan : event.new_runs) runs_[plan.id].plan = plan;
  sweeps_[event.sweep.id].plan = event.sweep;
}

void Ledger::add_worker(WorkerId id, int slots, const std::map<std::string, std::string>& labels) {
  workers_[id] = {id, WorkerState::kReady, slots, labels};
}

void Ledger::apply(const Decisions& decisions) {
  for (const WorkerChange& change : decisions.workers) workers_.at(change.worker).state = change.state;
  for (const AttemptChange& change : decisions.attempts) {
    const auto found = live_.find(change.attempt);
    require(found != live_.end(), "attempt {} changed after it had ended", change.attempt.value);
    found->second.state = change.state;
    if (!ended(change.state)) continue;
    const RunId run = found->second.run;
    if (change.state == AttemptState::kSucceeded) {
      require(++completions_[run] == 1, "run {} was completed twice", run.value);
    }
    ended_[change.attempt] = change.state;
    live_.erase(found);
  }
  for (const RunChange& change : decisions.runs) {
    Snapshot::Run& run = runs_.at(change.run);
    require(run.state != RunState::kSucceeded, "run {} changed after it had succeeded", change.run.value);
    run.state = change.state;
    run.reason = change.reason;
    run.failures = change.failures;
    run.owner = change.owner;
    changed_.insert(change.run);
  }
  for (const SweepChange& change : decisions.sweeps) {
    sweeps_.at(change.sweep).state = change.state;
    sweeps_.at(change.sweep).cancelled = change.cancelled;
  }
  for (const NewAttempt& attempt : decisions.assignments) {
    check_assignment(attempt);
    live_[attempt.attempt] = {attempt.attempt, attempt.run, attempt.worker, AttemptState::kAssigned};
    runs_.at(attempt.run).attempts = attempt.number;
    last_attempt_ = std::max(last_attempt_, attempt.attempt);
  }
}

void Ledger::check_assignment(const NewAttempt& attempt) const {
  require(attempt.attempt > last_attempt_, "attempt id {} was used again", attempt.attempt.value);
  const Snapshot::Run& run = runs_.at(attempt.run);
  require(attempt.number == run.attempts + 1, "run {}: attempt number {} after {}", attempt.run.value, attempt.number,
          run.attempts);
  const Snapshot::Worker& worker = workers_.at(attempt.worker);
  require(worker.state == WorkerState::kReady, "run {} was given to a worker that is {}", attempt.run.value,
          name(worker.state));
  for (const auto& [label, value] : run.plan.requirements.labels) {
    const auto found = worker.labels.find(label);
    require(found != worker.labels.end() && found->second == value, "run {} was given to a worker without {}={}",
            attempt.run.value, label, value);
  }
  const Snapshot::Sweep& sweep = sweeps_.at(run.owner.sweep);
  require(!sweep.cancelled, "run {} of a cancelled sweep was started", attempt.run.value);
  for (const int need : sweep.plan.stages[static_cast<size_t>(run.owner.stage)].needs) {
    for (const RunId needed : sweep.plan.stages[static_cast<size_t>(need)].runs) {
      require(runs_.at(needed).state == RunState::kSucceeded, "run {} was started before run {} had succeeded",
              attempt.run.value, needed.value);
    }
  }
  if (sweep.plan.max_parallel > 0) {
    int running = 0;
    for (const auto& [id, other] : runs_) {
      running += other.state == RunState::kRunning && other.owner.sweep == run.owner.sweep ? 1 : 0;
    }
    require(running <= sweep.plan.max_parallel, "sweep {} runs {} at once", sweep.plan.id.value, running);
  }
}

Snapshot Ledger::snapshot() const {
  Snapshot snapshot;
  for (const auto& [id, sweep] : sweeps_) snapshot.sweeps.push_back(sweep);
  for (const auto& [id, run] : runs_) snapshot.runs.push_back(run);
  for (const auto& [id, attempt] : live_) snapshot.attempts.push_back(attempt);
  for (const auto& [id, worker] : workers_) snapshot.workers.push_back(worker);
  snapshot.last_attempt = last_attempt_;
  return snapshot;
}

void Ledger::check(const Scheduler& scheduler) {
  check_slots(scheduler);
  for (const RunId id : changed_) check_run(scheduler, id);
  changed_.clear();
}

void Ledger::check_all(const Scheduler& scheduler) {
  check(scheduler);
  for (const auto& [id, run] : runs_) check_run(scheduler, id);
  for (const auto& [id, sweep] : sweeps_) {
    require(scheduler.sweep_state(id) == sweep.state, "sweep {} is {} and stored as {}", id.value,
            name(scheduler.sweep_state(id)), name(sweep.state));
  }
}

void Ledger::check_run(const Scheduler& scheduler, RunId id) const {
  const Snapshot::Run& run = runs_.at(id);
  const Scheduler::Run& remembered = scheduler.runs().at(id);
  require(remembered.state == run.state, "run {} is {} and stored as {}", id.value, name(remembered.state),
          name(run.state));
  require(remembered.owner == run.owner, "run {} has another owner than is stored", id.value);
  const bool held =
      remembered.current.has_value() && live_.contains(*remembered.current) && live_.at(*remembered.current).run == id;
  require(held == (run.state == RunState::kRunning), "run {} is {} but {} held by a live attempt", id.value,
          name(run.state), held ? "is" : "is not");
}

void Ledger::check_slots(const Scheduler& scheduler) const {
  std::map<WorkerId, int> used;
  std::map<RunId, int> held;
  for (const auto& [id, attempt] : live_) {
    require(scheduler.live(id), "attempt {} is stored as live but forgotten", id.value);
    require(scheduler.attempts().at(id).state == attempt.state, "attempt {} is stored as {}", id.value,
            name(attempt.state));
    used[attempt.worker] += runs_.at(attempt.run).plan.requirements.slots;
    ++held[attempt.run];
  }
  require(scheduler.attempts().size() == live_.size(), "the scheduler holds {} attempts, {} are stored",
          scheduler.attempts().size(), live_.size());
  for (const auto& [id, worker] : scheduler.workers()) {
    require(used[id] == worker.used, "worker {} counts {} used slots, not {}", id.value, worker.used, used[id]);
    require(worker.used <= worker.slots, "worker {} has {} slots and {} are used", id.value, worker.slots, worker.used);
    require(worker.state != WorkerState::kLost || worker.attempts.empty(), "worker {} is lost and holds attempts",
            id.value);
  }
  for (const auto& [id, holders] : held) {
    require(holders == 1, "run {} has {} live attempts", id.value, holders);
  }
}

}  // namespace scalelaw::server
