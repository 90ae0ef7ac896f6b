#include "tests/sim/simulation.h"

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
using namespace std::chrono_literals;
constexpr Instant kHeartbeat = 10s;
constexpr Instant kLatency = 20ms;
constexpr int kMaxEvents = 400'000;
constexpr int kMaxSlots = 4;
// Events between checks of all that there is.
constexpr int kWholeCheck = 100;
}  // namespace

Simulation::Simulation(uint64_t seed, SimulationSize size) : random_(seed), size_(size), settings_{30s} {
  scheduler_.emplace(settings_);
  for (int i = 1; i <= size_.workers; ++i) {
    const WorkerId id{i};
    Worker& worker = workers_[id];
    // The first one can run anything, so that everything can end.
    worker.slots = i == 1 ? kMaxSlots : pick(1, kMaxSlots);
    worker.labels = {{"gpu", i == 1 || chance(0.5) ? "big" : "small"}};
    ledger_.add_worker(id, worker.slots, worker.labels);
    at(Instant(pick(0, 5000)), [this, id] { connect(id); });
    at(Instant(pick(0, 10'000)), [this, id] { heartbeat(id); });
  }
  for (int i = 0; i < size_.sweeps; ++i) at(Instant(pick(0, 120'000)), [this] { submit_sweep(); });
  troubles_left_ = pick(0, 40);
  at(5s, [this] { trouble(); });
}

SimulationOutcome Simulation::run() {
  while (!all_over()) {
    if (++outcome_.events > kMaxEvents) throw Violation("it does not come to an end");
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
    outcome_.events % kWholeCheck == 0 ? ledger_.check_all(*scheduler_) : ledger_.check(*scheduler_);
  }
  ledger_.check_all(*scheduler_);
  if (ledger_.live() != 0) throw Violation("attempts were left over");
  for (const auto& [id, run] : ledger_.runs()) ++outcome_.runs[run.state];
  return outcome_;
}

bool Simulation::all_over() const {
  if (sweeps_submitted_ < size_.sweeps || troubles_left_ > 0) return false;
  for (const auto& [id, sweep] : ledger_.sweeps()) {
    if (sweep.state == SweepState::kRunning) return false;
  }
  for (const auto& [id, run] : ledger_.runs()) {
    if (!ended(run.state)) return false;
  }
  return true;
}

void Simulation::at(Instant delay, std::function<void()> what) {
  future_.push({now_ + delay, ++order_, std::move(what)});
}

void Simulation::tell(const Event& event) {
  if (const auto* sweep = std::get_if<SweepSubmitted>(&event)) ledger_.submit(*sweep);
  perform(scheduler_->handle(event, now_ + clock_error_));
}

void Simulation::perform(const Decisions& decisions) {
  ledger_.apply(decisions);
  for (const AttemptChange& change : decisions.attempts) outcome_.lost += change.state == AttemptState::kLost ? 1 : 0;
  for (const WorkerChange& change : decisions.workers) {
    // Its session is closed; it connects again when it can.
    if (change.state == WorkerState::kLost && workers_.at(change.worker).connected) {
      at(kLatency, [this, id = change.worker] { disconnect(id); });
    }
  }
  for (const NewAttempt& attempt : decisions.assignments) {
    ++outcome_.attempts;
    at(kLatency, [this, attempt] { start_trainer(attempt.worker, attempt.attempt); });
  }
  for (const Stop& stop : decisions.stops) {
    at(kLatency, [this, stop] { stop_trainer(stop.worker, stop.attempt); });
  }
}

void Simulation::submit_sweep() {
  SweepSubmitted event;
  event.sweep.id = SweepId{++sweeps_submitted_};
  event.sweep.max_parallel = chance(0.3) ? pick(1, 10) : 0;
  int next_run = static_cast<int>(ledger_.runs().size());
  const int stages = pick(1, 4);
  for (int stage = 0; stage < stages; ++stage) {
    StagePlan& plan = event.sweep.stages.emplace_back();
    plan.name = fmt::format("stage{}", stage);
    for (int earlier = 0; earlier < stage; ++earlier) {
      if (chance(0.5)) plan.needs.push_back(earlier);
    }
    const int count = plan.needs.empty() && stages > 1 ? pick(1, 3) : pick(1, size_.runs_per_stage);
    for (int i = 0; i < count; ++i) {
      RunPlan run;
      run.id = RunId{++next_run};
      run.requirements.slots = chance(0.15) ? pick(2, kMaxSlots) : 1;
      if (chance(0.3)) run.requirements.labels = {{"gpu", "big"}};
      run.retries = {pick(0, 3), Instant(pick(0, 5000))};
      run.size = {BudgetKind::kFlops, static_cast<double>(pick(1, 1000))};
      event.new_runs.push_back(run);
      plan.runs.push_back(run.id);
    }
  }
  // Trainings that the study holds already: whole stages that need nothing, so that their inputs are the same.
  if (!ledger_.sweeps().empty() && chance(0.5)) {
    const SweepPlan& before = ledger_.sweeps().begin()->second.plan;
    event.sweep.stages.push_back({"again", {}, before.stages.front().runs});
  }
  tell(event);
}

void Simulation::connect(WorkerId id) {
  Worker& worker = workers_.at(id);
  if (worker.connected) return;
  if (!reachable(worker)) {
    at(2s, [this, id] { connect(id); });
    return;
  }
  worker.connected = true;
  WorkerJoined hello{id, worker.slots, worker.labels, {}};
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
  at(Instant(pick(1'000, 90'000)), [this, id, attempt, how] { trainer_ends(id, attempt, how); });
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
  switch (pick(0, 8)) {
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
    default:
      if (!ledger_.runs().empty()) {
        const RunId run{pick(1, static_cast<int>(ledger_.runs().size()))};
        if (scheduler_->may_retry(run).ok()) tell(RunRetried{run});
      }
      break;
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
  perform(scheduler_->restore(ledger_.snapshot(), now_ + clock_error_));
}

}  // namespace scalelaw::server
