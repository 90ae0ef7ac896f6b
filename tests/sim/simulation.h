// A cluster in memory, driven by one seed: workers that crash, hang, are slow, are cut off and come back; trainers that
// fail; a server that restarts; clocks that jump; people who submit, cancel, retry, pause, resume and drain.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "server/scheduling/scheduler.h"
#include "tests/sim/ledger.h"

namespace scalelaw::server {

struct SimulationSize {
  int workers = 20;
  int slots_per_worker = 4;
  int sweeps = 3;
  int runs_per_stage = 40;
  /// Whether sweeps differ in them, so that runs are preempted.
  bool priorities = true;
};

struct SimulationOutcome {
  int events = 0;
  int attempts = 0;
  int lost = 0;
  int restarts = 0;
  int gangs = 0;
  int preemptions = 0;
  int limits_reached = 0;
  int drained = 0;
  int stopped_early = 0;
  /// How many runs ended in each state.
  std::map<RunState, int> runs;

  SimulationOutcome& operator+=(const SimulationOutcome& other);
};

class Simulation {
 public:
  Simulation(uint64_t seed, SimulationSize size);
  /// Until everything has ended. Throws Violation if an invariant breaks or if something never ends.
  SimulationOutcome run();

 private:
  /// What really happens on a worker, whatever the scheduler believes.
  struct Worker {
    Offer offer;
    /// How much longer its trainers take.
    int slowness = 1;
    bool up = true;
    bool connected = false;
    Instant cut_off_until{0};
    /// Attempts it holds, and how those that have ended did.
    std::map<AttemptId, std::optional<AttemptEnded>> attempts;
  };
  struct Timed {
    Instant at;
    uint64_t order;
    std::function<void()> what;
    bool operator>(const Timed& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };

  void at(Instant delay, std::function<void()> what);
  void tell(const Event& event);
  void perform(const Decisions& decisions);
  bool reachable(const Worker& worker) const { return worker.up && now_ >= worker.cut_off_until; }

  void submit_sweep();
  RunPlan random_run(RunId id);
  void connect(WorkerId id);
  void disconnect(WorkerId id);
  void heartbeat(WorkerId id);
  void start_trainer(WorkerId id, AttemptId attempt);
  void stop_trainer(WorkerId id, AttemptId attempt);
  void trainer_ends(WorkerId id, AttemptId attempt, AttemptEnded how);
  void report_end(WorkerId id, AttemptId attempt);
  AttemptEnded random_end(AttemptId attempt);
  void trouble();
  void person_tends();
  void restart_server();

  int pick(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }
  bool chance(double probability) { return std::bernoulli_distribution(probability)(random_); }
  bool all_over() const { return sweeps_submitted_ == size_.sweeps && troubles_left_ <= 0 && ledger_.all_over(); }

  std::mt19937_64 random_;
  const SimulationSize size_;
  const SchedulerSettings settings_;
  std::optional<Scheduler> scheduler_;
  Ledger ledger_;
  std::map<WorkerId, Worker> workers_;
  std::priority_queue<Timed, std::vector<Timed>, std::greater<>> future_;
  uint64_t order_ = 0;
  Instant now_{0};
  /// The server's clock minus ours.
  Instant clock_error_{0};
  int sweeps_submitted_ = 0;
  int troubles_left_ = 0;
  SimulationOutcome outcome_;
};

}  // namespace scalelaw::server
