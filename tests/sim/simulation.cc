#include "tests/sim/simulation.h"

#include <algorithm>

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
using namespace std::chrono_literals;
constexpr Instant kHeartbeat = 10s;
constexpr Instant kLatency = 20ms;
// A gang's members, at most; so many workers can run anything, so that everything can end.
constexpr int kMaxGang = 3;
constexpr const char* kOwners[] = {"vision", "speech", ""};

/// Events between checks of all that there is.
int whole_check(const SimulationSize& size) {
  return std::max(250, size.workers * 20);
}
int max_events(const SimulationSize& size) {
  return 400'000 + size.workers * 2000 + size.sweeps * size.runs_per_stage * 200;
}
}  // namespace

Simulation::Simulation(uint64_t seed, SimulationSize size)
    : random_(seed), size_(size), settings_{30s, {{"vision", 2.0}}} {
  scheduler_.emplace(settings_);
  for (int i = 1; i <= size_.workers; ++i) {
    const WorkerId id{i};
    Worker& worker = workers_[id];
    const bool any = i <= kMaxGang;
    worker.offer.slots = any ? size_.slots_per_worker : pick(1, size_.slots_per_worker);
    worker.offer.labels = {{"disk", any || chance(0.5) ? "big" : "small"}};
    worker.offer.gpu_model = any || chance(0.5) ? "NVIDIA H100 80GB HBM3" : "NVIDIA A100-SXM4-40GB";
    worker.offer.gpu_memory_bytes = any ? 80 : pick(16, 80);
    worker.offer.places_gangs = !any && chance(0.05);
    if (chance(0.1)) worker.slowness = pick(2, 10);
    ledger_.add_worker(id, worker.offer);
    at(Instant(pick(0, 5000)), [this, id] { connect(id); });
    at(Instant(pick(0, 10'000)), [this, id] { heartbeat(id); });
  }
  for (int i = 0; i < size_.sweeps; ++i) at(Instant(pick(0, 120'000)), [this] { submit_sweep(); });
  troubles_left_ = pick(0, 40);
  at(5s, [this] { trouble(); });
  at(90s, [this] { person_tends(); });
}

SimulationOutcome& SimulationOutcome::operator+=(const SimulationOutcome& other) {
  for (const auto count :
       {&SimulationOutcome::events, &SimulationOutcome::attempts, &SimulationOutcome::lost,
        &SimulationOutcome::restarts, &SimulationOutcome::gangs, &SimulationOutcome::preemptions,
        &SimulationOutcome::limits_reached, &SimulationOutcome::drained, &SimulationOutcome::stopped_early}) {
    this->*count += other.*count;
  }
  for (const auto& [state, count] : other.runs) runs[state] += count;
  return *this;
}

SimulationOutcome Simulation::run() {
  while (!all_over()) {
    if (++outcome_.events > max_events(size_)) throw Violation("it does not come to an end");
    // The coordinator's timer, or the next thing that happens, whichever is first.
    const std::optional<Instant> due = scheduler_->next_due();
    const Instant next = future_.top().at;
    if (due.has_value() && *due - clock_error_ < next) {
      now_ = std::max(now_ + 1ms, *due - clock_error_);
      tell(Tick{});
    } else {
      const std::function<void()> what = future_.top().what;
      future_.pop();
      now_ = std::max(now_, next);
      what();
    }
    outcome_.events % whole_check(size_) == 0 ? ledger_.check_all(*scheduler_, now_ + clock_error_)
                                              : ledger_.check(*scheduler_);
  }
  ledger_.check_all(*scheduler_, now_ + clock_error_);
  if (ledger_.live() != 0) throw Violation("attempts were left over");
  for (const auto& [id, run] : ledger_.runs()) ++outcome_.runs[run.state];
  return outcome_;
}

void Simulation::at(Instant delay, std::function<void()> what) {
  future_.push({now_ + delay, ++order_, std::move(what)});
}

void Simulation::tell(const Event& event) {
  if (const auto* sweep = std::get_if<SweepSubmitted>(&event)) ledger_.submit(*sweep);
  if (const auto* report = std::get_if<AttemptReported>(&event)) ledger_.report(report->attempt, report->flops);
  perform(scheduler_->handle(event, now_ + clock_error_));
}

void Simulation::perform(const Decisions& decisions) {
  ledger_.apply(decisions, now_ + clock_error_);
  for (const AttemptChange& change : decisions.attempts) outcome_.lost += change.state == AttemptState::kLost ? 1 : 0;
  for (const WorkerChange& change : decisions.workers) {
    // Its session is closed; it connects again when it can.
    if (change.state == WorkerState::kLost && workers_.at(change.worker).connected) {
      at(kLatency, [this, id = change.worker] { disconnect(id); });
    }
    outcome_.drained += change.drain_reason.starts_with("3 failures") ? 1 : 0;
  }
  for (const SweepChange& change : decisions.sweeps) {
    outcome_.limits_reached += change.paused.value_or("").starts_with("limits.") ? 1 : 0;
  }
  for (const NewAttempt& attempt : decisions.assignments) {
    ++outcome_.attempts;
    outcome_.gangs += attempt.rank == 1 ? 1 : 0;
    at(kLatency, [this, attempt] { start_trainer(attempt.worker, attempt.attempt); });
  }
  for (const RunChange& change : decisions.runs) outcome_.stopped_early += change.stopped_early ? 1 : 0;
  for (const Stop& stop : decisions.stops) {
    outcome_.preemptions += stop.reason.starts_with("preempted") ? 1 : 0;
    at(kLatency, [this, stop] { stop_trainer(stop.worker, stop.attempt); });
  }
}

void Simulation::submit_sweep() {
  SweepSubmitted event;
  event.sweep.id = SweepId{++sweeps_submitted_};
  event.sweep.max_parallel = chance(0.3) ? pick(1, std::max(10, size_.runs_per_stage / 4)) : 0;
  event.sweep.priority = size_.priorities && chance(0.3) ? pick(-5, 5) : 0;
  event.sweep.owner = kOwners[pick(0, 2)];
  event.sweep.order = chance(0.5) ? Order::kLongestFirst : Order::kCheapestFirst;
  if (chance(0.2)) event.sweep.limits.flops = pick(100, 1000 * size_.runs_per_stage);
  if (chance(0.2)) event.sweep.limits.slot_time = Instant(pick(60'000, 60'000 * size_.runs_per_stage));
  int next_run = static_cast<int>(ledger_.runs().size());
  const int stages = pick(1, 4);
  for (int stage = 0; stage < stages; ++stage) {
    StagePlan& plan = event.sweep.stages.emplace_back();
    plan.name = fmt::format("stage{}", stage);
    if (chance(0.2)) plan.early_stopping = {"loss", 98.0, 0.5};
    for (int earlier = 0; earlier < stage; ++earlier) {
      if (chance(0.5)) plan.needs.push_back(earlier);
    }
    const int count = plan.needs.empty() && stages > 1 ? pick(1, 3) : pick(1, size_.runs_per_stage);
    for (int i = 0; i < count; ++i) {
      event.new_runs.push_back(random_run(RunId{++next_run}));
      plan.runs.push_back(event.new_runs.back().id);
    }
  }
  // Trainings that the study holds already: whole stages that need nothing, so that their inputs are the same.
  if (!ledger_.sweeps().empty() && chance(0.5)) {
    const SweepPlan& before = ledger_.sweeps().begin()->second.plan;
    event.sweep.stages.push_back({"again", {}, before.stages.front().runs});
  }
  tell(event);
}

RunPlan Simulation::random_run(RunId id) {
  RunPlan run;
  run.id = id;
  if (chance(0.15)) run.requirements.slots = pick(1, size_.slots_per_worker);
  if (chance(0.05)) run.requirements.workers = pick(2, kMaxGang);
  if (chance(0.3)) run.requirements.labels = {{"disk", "big"}};
  if (chance(0.1)) run.requirements.gpu_model = "h100";
  if (chance(0.1)) run.requirements.gpu_memory_bytes = 16 * pick(1, 5);
  run.retries = {pick(0, 3), Instant(pick(0, 5000))};
  run.size = {BudgetKind::kFlops, 100.0 * pick(1, 10)};
  return run;
}

void Simulation::connect(WorkerId id) {
  Worker& worker = workers_.at(id);
  if (worker.connected) return;
  if (!reachable(worker)) {
    at(2s, [this, id] { connect(id); });
    return;
  }
  worker.connected = true;
  WorkerJoined hello{id, worker.offer, {}};
  for (const auto& [attempt, how] : worker.attempts) hello.held.push_back(attempt);
  tell(hello);
  // The welcome names the attempts that were given up.
  std::erase_if(worker.attempts, [this](const auto& entry) { return !scheduler_->live(entry.first); });
  std::vector<AttemptId> ended_meanwhile;
  for (const auto& [attempt, how] : worker.attempts) {
    if (how.has_value()) ended_meanwhile.push_back(attempt);
  }
  for (const AttemptId attempt : ended_meanwhile) report_end(id, attempt);
}

void Simulation::disconnect(WorkerId id) {
  Worker& worker = workers_.at(id);
  if (!worker.connected) return;
  worker.connected = false;
  tell(WorkerLeft{id});
  at(Instant(pick(100, 5000)), [this, id] { connect(id); });
}

void Simulation::heartbeat(WorkerId id) {
  const Worker& worker = workers_.at(id);
  if (worker.connected && reachable(worker)) tell(WorkerHeard{id});
  at(kHeartbeat, [this, id] { heartbeat(id); });
}

// While the network is cut but the session not yet broken, messages are late; with the session they are lost.
void Simulation::start_trainer(WorkerId id, AttemptId attempt) {
  Worker& worker = workers_.at(id);
  if (!worker.connected || !scheduler_->live(attempt)) return;
  if (!reachable(worker)) {
    at(1s, [this, id, attempt] { start_trainer(id, attempt); });
    return;
  }
  worker.attempts[attempt] = std::nullopt;
  tell(AttemptStarted{attempt});
  const AttemptEnded how = random_end(attempt);
  // Twice on the way it reports how far it is.
  const Instant time(pick(1'000, 90'000) * worker.slowness);
  for (const double part : {0.4, 0.8}) {
    at(Instant(static_cast<int64_t>(part * static_cast<double>(time.count()))), [this, id, attempt, part] {
      const Worker& on = workers_.at(id);
      if (!on.connected || !reachable(on) || !on.attempts.contains(attempt) || !scheduler_->live(attempt)) return;
      const double size = ledger_.runs().at(scheduler_->attempts().at(attempt).run).plan.size.amount;
      const double loss = pick(1, 100);
      tell(AttemptReported{attempt, part * size, part, loss, loss});
    });
  }
  at(time, [this, id, attempt, how] { trainer_ends(id, attempt, how); });
}

void Simulation::stop_trainer(WorkerId id, AttemptId attempt) {
  const Worker& worker = workers_.at(id);
  if (!worker.connected || !scheduler_->live(attempt)) return;
  if (!reachable(worker) || !worker.attempts.contains(attempt)) {
    at(1s, [this, id, attempt] { stop_trainer(id, attempt); });
    return;
  }
  AttemptEnded how{attempt, AttemptState::kInterrupted, 75, "", false};
  if (chance(0.3)) how.outcome = AttemptState::kCancelled;
  at(Instant(pick(0, 20'000)), [this, id, attempt, how] { trainer_ends(id, attempt, how); });
}

AttemptEnded Simulation::random_end(AttemptId attempt) {
  if (chance(0.85)) return {attempt, AttemptState::kSucceeded, 0, "", false};
  if (chance(0.3)) return {attempt, AttemptState::kInterrupted, 75, "", false};
  if (chance(0.3)) return {attempt, AttemptState::kFailed, 1, "disk full", false, true};
  return {attempt, AttemptState::kFailed, 1, "exit 1", chance(0.1)};
}

// Trainers go on while their worker is cut off, and even while it is being restarted.
void Simulation::trainer_ends(WorkerId id, AttemptId attempt, AttemptEnded how) {
  Worker& worker = workers_.at(id);
  const auto found = worker.attempts.find(attempt);
  if (found == worker.attempts.end() || found->second.has_value()) return;
  found->second = how;
  report_end(id, attempt);
}

// Kept until it can be told; a new session tells it again.
void Simulation::report_end(WorkerId id, AttemptId attempt) {
  Worker& worker = workers_.at(id);
  const auto found = worker.attempts.find(attempt);
  if (found == worker.attempts.end() || !worker.connected) return;
  if (!reachable(worker)) {
    at(1s, [this, id, attempt] { report_end(id, attempt); });
    return;
  }
  const AttemptEnded how = *found->second;
  tell(how);
  // Now and then the same end is reported twice.
  if (chance(0.1)) tell(how);
  worker.attempts.erase(attempt);
}

void Simulation::trouble() {
  if (troubles_left_ <= 0) return;
  --troubles_left_;
  at(Instant(pick(1'000, 60'000)), [this] { trouble(); });
  const WorkerId id{pick(1, size_.workers)};
  Worker& worker = workers_.at(id);
  switch (pick(0, 11)) {
    case 0:  // the machine dies with its trainers
      worker.attempts.clear();
      [[fallthrough]];
    case 1:  // the worker dies, its trainers go on
      worker.up = false;
      at(kLatency, [this, id] { disconnect(id); });
      at(Instant(pick(1'000, 100'000)), [this, id] { workers_.at(id).up = true; });
      break;
    case 2:  // the network is cut without a word
    case 3:
      worker.cut_off_until = now_ + Instant(pick(1'000, 120'000));
      break;
    case 4:
      clock_error_ += Instant(pick(-600'000, 600'000));
      break;
    case 5:
      if (worker.connected && reachable(worker)) tell(WorkerDraining{id});
      at(Instant(pick(1'000, 60'000)), [this, id] { disconnect(id); });
      break;
    case 6:
      restart_server();
      break;
    case 7:
      if (sweeps_submitted_ > 0 && chance(0.3)) {
        const SweepId sweep{pick(1, sweeps_submitted_)};
        if (scheduler_->sweep_state(sweep) == SweepState::kRunning) tell(SweepCancelled{sweep});
      }
      break;
    case 8:
    case 9:
      if (sweeps_submitted_ > 0) tell(SweepPaused{SweepId{pick(1, sweeps_submitted_)}, "by a person", chance(0.5)});
      break;
    case 10:
      if (scheduler_->workers().contains(id)) tell(WorkerDrained{id, "by a person"});
      break;
    default:
      if (!ledger_.runs().empty()) {
        const RunId run{pick(1, static_cast<int>(ledger_.runs().size()))};
        if (scheduler_->may_retry(run).ok()) tell(RunRetried{run});
      }
      break;
  }
}

// Somebody looks after it now and then: nothing stays paused or drained for ever.
void Simulation::person_tends() {
  at(90s, [this] { person_tends(); });
  for (const auto& [id, worker] : workers_) {
    const auto known = scheduler_->workers().find(id);
    if (known != scheduler_->workers().end() && !known->second.drain_reason.empty()) tell(WorkerUndrained{id});
  }
  for (int sweep = 1; sweep <= sweeps_submitted_; ++sweep) {
    const SweepId id{sweep};
    if (!scheduler_->paused(id)) continue;
    Limits limits = scheduler_->limits(id);
    const Limits spent = scheduler_->spent(id);
    if (limits.flops > 0) limits.flops = 2 * spent.flops + 100;
    if (limits.slot_time.count() > 0) limits.slot_time = 2 * spent.slot_time + 60s;
    tell(SweepResumed{id, limits});
  }
}

// kill -9: everything but the ledger is gone, and every session with it.
void Simulation::restart_server() {
  ++outcome_.restarts;
  for (auto& [id, worker] : workers_) {
    if (!worker.connected) continue;
    worker.connected = false;
    at(Instant(pick(100, 5000)), [this, id = id] { connect(id); });
  }
  scheduler_.emplace(settings_);
  perform(scheduler_->restore(ledger_.snapshot(now_ + clock_error_), now_ + clock_error_));
}

}  // namespace scalelaw::server
