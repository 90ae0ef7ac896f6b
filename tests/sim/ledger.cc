#include "tests/sim/ledger.h"

#include <algorithm>

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
  runs_to_end_ += static_cast<int>(event.new_runs.size());
  ++sweeps_to_end_;
}

void Ledger::add_worker(WorkerId id, const Offer& offer) {
  workers_[id] = {id, WorkerState::kReady, offer, ""};
}

void Ledger::report(AttemptId attempt, double flops) {
  const auto found = live_.find(attempt);
  if (found == live_.end()) return;
  Snapshot::Run& run = runs_.at(found->second.run);
  accounts_[run.owner.sweep].flops += flops - run.flops;
  run.flops = flops;
}

// The server's clock as its scheduler takes it: it never runs backwards.
void Ledger::pass_time(Instant now) {
  if (now <= now_) return;
  for (auto& [id, account] : accounts_) sweeps_.at(id).slot_time += account.slots * (now - now_);
  now_ = now;
}

void Ledger::apply(const Decisions& decisions, Instant now) {
  pass_time(now);
  for (const WorkerChange& change : decisions.workers) {
    workers_.at(change.worker).state = change.state;
    workers_.at(change.worker).drain_reason = change.drain_reason;
    changed_workers_.insert(change.worker);
  }
  for (const AttemptChange& change : decisions.attempts) end_attempt(change);
  for (const RunChange& change : decisions.runs) change_run(change);
  for (const SweepChange& change : decisions.sweeps) {
    Snapshot::Sweep& sweep = sweeps_.at(change.sweep);
    sweeps_to_end_ += (change.state == SweepState::kRunning) - (sweep.state == SweepState::kRunning);
    sweep.state = change.state;
    sweep.cancelled = change.cancelled;
    sweep.paused = change.paused;
    sweep.plan.limits = change.limits;
  }
  std::map<RunId, std::vector<NewAttempt>> started;
  for (const NewAttempt& attempt : decisions.assignments) {
    assign(attempt);
    started[attempt.run].push_back(attempt);
  }
  for (const auto& [run, members] : started) start(run, members);
  for (const Stop& stop : decisions.stops) {
    const auto found = live_.find(stop.attempt);
    if (found != live_.end()) found->second.stop = stop.reason;
  }
}

void Ledger::end_attempt(const AttemptChange& change) {
  const auto found = live_.find(change.attempt);
  require(found != live_.end(), "attempt {} changed after it had ended", change.attempt.value);
  found->second.state = change.state;
  if (!ended(change.state)) return;
  const Snapshot::Attempt attempt = found->second;
  members_.at(attempt.run).erase(change.attempt);
  used_[attempt.worker] -= attempt.slots;
  accounts_[attempt.sweep].slots -= attempt.slots;
  if (change.state != AttemptState::kSucceeded) runs_.at(attempt.run).broken = true;
  changed_runs_.insert(attempt.run);
  changed_workers_.insert(attempt.worker);
  live_.erase(found);
}

void Ledger::change_run(const RunChange& change) {
  Snapshot::Run& run = runs_.at(change.run);
  require(run.state != RunState::kSucceeded, "run {} changed after it had succeeded", change.run.value);
  require(change.state != RunState::kSucceeded || !run.broken, "run {} succeeded though a member of it had not",
          change.run.value);
  runs_to_end_ += ended(run.state) - ended(change.state);
  if (run.owner.sweep != SweepId{}) {
    accounts_[run.owner.sweep].flops -= run.flops;
    accounts_[run.owner.sweep].running -= run.state == RunState::kRunning;
  }
  accounts_[change.owner.sweep].flops += run.flops;
  accounts_[change.owner.sweep].running += change.state == RunState::kRunning;
  run.state = change.state;
  run.reason = change.reason;
  run.failures = change.failures;
  run.owner = change.owner;
  run.stopped_early = change.stopped_early;
  changed_runs_.insert(change.run);
}

void Ledger::assign(const NewAttempt& attempt) {
  check_start(attempt);
  live_[attempt.attempt] = {attempt.attempt, attempt.run,   attempt.worker, AttemptState::kAssigned,
                            attempt.slots,   attempt.sweep, std::nullopt};
  runs_.at(attempt.run).broken = false;
  members_[attempt.run].insert(attempt.attempt);
  used_[attempt.worker] += attempt.slots;
  accounts_[attempt.sweep].slots += attempt.slots;
  changed_runs_.insert(attempt.run);
  changed_workers_.insert(attempt.worker);
  last_attempt_ = std::max(last_attempt_, attempt.attempt);
}

void Ledger::check_start(const NewAttempt& attempt) const {
  require(attempt.attempt > last_attempt_, "attempt id {} was used again", attempt.attempt.value);
  const Snapshot::Run& run = runs_.at(attempt.run);
  const Snapshot::Worker& worker = workers_.at(attempt.worker);
  require(worker.state == WorkerState::kReady && worker.drain_reason.empty(), "run {} was given to a worker that is {}",
          attempt.run.value, name(worker.state));
  require(fits(run.plan.requirements, worker.offer), "run {} was given to a worker that lacks what it needs",
          attempt.run.value);
  const Snapshot::Sweep& sweep = sweeps_.at(run.owner.sweep);
  require(!sweep.cancelled, "run {} of a cancelled sweep was started", attempt.run.value);
  require(!sweep.paused.has_value(), "run {} of a paused sweep was started", attempt.run.value);
  require(attempt.sweep == run.owner.sweep, "run {} goes on another sweep's account", attempt.run.value);
  for (const int need : sweep.plan.stages[static_cast<size_t>(run.owner.stage)].needs) {
    for (const RunId needed : sweep.plan.stages[static_cast<size_t>(need)].runs) {
      require(runs_.at(needed).state == RunState::kSucceeded, "run {} was started before run {} had succeeded",
              attempt.run.value, needed.value);
    }
  }
  const int running = accounts_.at(run.owner.sweep).running;
  require(sweep.plan.max_parallel == 0 || running <= sweep.plan.max_parallel, "sweep {} runs {} at once",
          sweep.plan.id.value, running);
}

// All of its members, or it has not been started.
void Ledger::start(RunId id, const std::vector<NewAttempt>& members) {
  Snapshot::Run& run = runs_.at(id);
  const Requirements& need = run.plan.requirements;
  require(members_.at(id).size() == members.size(), "run {} was started while it ran", id.value);
  std::set<WorkerId> workers;
  int slots = 0;
  for (size_t rank = 0; rank < members.size(); ++rank) {
    require(members[rank].rank == static_cast<int>(rank), "run {}: rank {} is missing", id.value, rank);
    require(members[rank].number == run.attempts + 1, "run {}: attempt number {} after {}", id.value,
            members[rank].number, run.attempts);
    workers.insert(members[rank].worker);
    slots += members[rank].slots;
  }
  require(workers.size() == members.size(), "two members of run {} are on one worker", id.value);
  require(slots == need.slots * need.workers, "run {} has {} slots, not {} on {} workers", id.value, slots, need.slots,
          need.workers);
  run.attempts = members[0].number;
}

Snapshot Ledger::snapshot(Instant now) {
  pass_time(now);
  Snapshot snapshot;
  for (const auto& [id, sweep] : sweeps_) snapshot.sweeps.push_back(sweep);
  for (const auto& [id, run] : runs_) snapshot.runs.push_back(run);
  for (Snapshot::Run& run : snapshot.runs) run.broken = run.broken && run.state == RunState::kRunning;
  for (const auto& [id, attempt] : live_) snapshot.attempts.push_back(attempt);
  for (const auto& [id, worker] : workers_) snapshot.workers.push_back(worker);
  snapshot.last_attempt = last_attempt_;
  return snapshot;
}

void Ledger::check(const Scheduler& scheduler) {
  require(scheduler.attempts().size() == live_.size(), "the scheduler holds {} attempts, {} are stored",
          scheduler.attempts().size(), live_.size());
  for (const WorkerId id : changed_workers_) check_worker(scheduler, id);
  for (const RunId id : changed_runs_) check_run(scheduler, id);
  for (const auto& [id, account] : accounts_) check_limits(id);
  changed_workers_.clear();
  changed_runs_.clear();
}

void Ledger::check_all(const Scheduler& scheduler, Instant now) {
  check(scheduler);
  for (const auto& [id, run] : runs_) check_run(scheduler, id);
  for (const auto& [id, worker] : scheduler.workers()) check_worker(scheduler, id);
  for (const auto& [id, attempt] : live_) {
    require(scheduler.live(id), "attempt {} is stored as live but forgotten", id.value);
    require(scheduler.attempts().at(id).state == attempt.state, "attempt {} is stored as {}", id.value,
            name(attempt.state));
  }
  for (const auto& [id, sweep] : sweeps_) {
    require(scheduler.sweep_state(id) == sweep.state, "sweep {} is {} and stored as {}", id.value,
            name(scheduler.sweep_state(id)), name(sweep.state));
    require(scheduler.paused(id) == sweep.paused.has_value(), "sweep {} is paused or not, and stored as the other",
            id.value);
  }
  check_idle(scheduler, now);
}

void Ledger::check_run(const Scheduler& scheduler, RunId id) const {
  const Snapshot::Run& run = runs_.at(id);
  const Scheduler::Run& remembered = scheduler.runs().at(id);
  require(remembered.state == run.state, "run {} is {} and stored as {}", id.value, name(remembered.state),
          name(run.state));
  require(remembered.owner == run.owner, "run {} has another owner than is stored", id.value);
  const auto members = members_.find(id);
  const size_t held = members == members_.end() ? 0 : members->second.size();
  require(remembered.current.size() == held, "run {} has {} live attempts and {} are stored", id.value,
          remembered.current.size(), held);
  require((held > 0) == (run.state == RunState::kRunning), "run {} is {} with {} live attempts", id.value,
          name(run.state), held);
  // Once a member of a gang has ended badly, the others are on their way out.
  if (held == 0 || !run.broken) return;
  for (const AttemptId member : members->second) {
    require(live_.at(member).stop.has_value(), "run {} goes on without a member of its gang", id.value);
  }
}

void Ledger::check_worker(const Scheduler& scheduler, WorkerId id) const {
  const auto found = scheduler.workers().find(id);
  if (found == scheduler.workers().end()) return;
  const Scheduler::Worker& worker = found->second;
  const auto stored = used_.find(id);
  const int used = stored == used_.end() ? 0 : stored->second;
  require(used == worker.used, "worker {} counts {} used slots, not {}", id.value, worker.used, used);
  require(used >= 0 && used <= worker.slots, "worker {} has {} slots and {} are used", id.value, worker.slots, used);
  require(worker.state != WorkerState::kLost || worker.attempts.empty(), "worker {} is lost and holds attempts",
          id.value);
  require(worker.state == workers_.at(id).state, "worker {} is {} and stored as {}", id.value, name(worker.state),
          name(workers_.at(id).state));
}

void Ledger::check_limits(SweepId id) const {
  const Snapshot::Sweep& sweep = sweeps_.at(id);
  const Limits& limits = sweep.plan.limits;
  if (sweep.paused.has_value() || sweep.cancelled || accounts_.at(id).running == 0) return;
  require(limits.slot_time.count() == 0 || sweep.slot_time < limits.slot_time,
          "sweep {} goes on after {} ms of its {} slot-ms", id.value, sweep.slot_time.count(),
          limits.slot_time.count());
  // The sum of the reports is taken in another order here.
  require(limits.flops == 0 || accounts_.at(id).flops <= limits.flops * (1 + 1e-9),
          "sweep {} goes on after {} of its {} FLOPs", id.value, accounts_.at(id).flops, limits.flops);
}

// Only where nothing is kept free for anybody, and for runs that may go anywhere.
void Ledger::check_idle(const Scheduler& scheduler, Instant now) const {
  std::vector<const Scheduler::Worker*> idle;
  for (const auto& [id, worker] : scheduler.workers()) {
    if (worker.state == WorkerState::kReady && worker.used < worker.slots) idle.push_back(&worker);
  }
  if (idle.empty()) return;
  for (const auto& [id, run] : scheduler.runs()) {
    const Requirements& need = run.plan.requirements;
    if (run.state == RunState::kQueued && (need.slots > 1 || need.workers > 1)) return;
  }
  for (const auto& [id, run] : scheduler.runs()) {
    if (run.state != RunState::kQueued || run.not_before > now || run.avoid.has_value()) continue;
    const Snapshot::Sweep& sweep = sweeps_.at(run.owner.sweep);
    if (sweep.paused.has_value()) continue;
    if (sweep.plan.max_parallel > 0 && accounts_.at(run.owner.sweep).running >= sweep.plan.max_parallel) continue;
    for (const Scheduler::Worker* worker : idle) {
      require(!fits(run.plan.requirements, *worker), "run {} waits while a worker is idle that suits it", id.value);
    }
  }
}

}  // namespace scalelaw::server
