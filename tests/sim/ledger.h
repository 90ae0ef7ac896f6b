// The database's part in the simulation: keeps what the scheduler decides, and objects to what must never be decided.
#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/scheduling/scheduler.h"

namespace scalelaw::server {

/// An invariant was broken.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Ledger {
 public:
  void submit(const SweepSubmitted& event);
  void add_worker(WorkerId id, const Offer& offer);
  /// The run of the attempt has so many FLOPs behind it.
  void report(AttemptId attempt, double flops);
  /// Stores decisions as the store does, at the server's time. Throws Violation.
  void apply(const Decisions& decisions, Instant now);
  /// What a restarted server would read at this time of its clock.
  Snapshot snapshot(Instant now);

  /// Of what has changed since the last check: no slot and no run is held twice, gangs are whole, sweeps beyond their
  /// limits are paused, and the scheduler remembers exactly what is stored. Throws Violation.
  void check(const Scheduler& scheduler);
  /// The same for everything there is; and no slot idles that a queued run could use at this time of the server's
  /// clock.
  void check_all(const Scheduler& scheduler, Instant now);

  const std::unordered_map<RunId, Snapshot::Run>& runs() const { return runs_; }
  const std::map<SweepId, Snapshot::Sweep>& sweeps() const { return sweeps_; }
  /// Assigned or running attempts.
  size_t live() const { return live_.size(); }
  bool all_over() const { return runs_to_end_ == 0 && sweeps_to_end_ == 0; }

 private:
  struct Account {
    int slots = 0;
    double flops = 0;
    int running = 0;
  };
  void change_run(const RunChange& change);
  void end_attempt(const AttemptChange& change);
  void assign(const NewAttempt& attempt);
  void start(RunId run, const std::vector<NewAttempt>& members);
  void check_start(const NewAttempt& attempt) const;
  void check_limits(SweepId id) const;
  void check_worker(const Scheduler& scheduler, WorkerId id) const;
  void check_run(const Scheduler& scheduler, RunId id) const;
  void check_idle(const Scheduler& scheduler, Instant now) const;
  void pass_time(Instant now);

  std::unordered_map<RunId, Snapshot::Run> runs_;
  std::map<SweepId, Snapshot::Sweep> sweeps_;
  std::map<SweepId, Account> accounts_;
  std::map<WorkerId, Snapshot::Worker> workers_;
  std::map<WorkerId, int> used_;
  std::map<AttemptId, Snapshot::Attempt> live_;
  /// Live members, by run.
  std::unordered_map<RunId, std::set<AttemptId>> members_;
  int runs_to_end_ = 0;
  int sweeps_to_end_ = 0;
  /// Since the last check.
  std::set<RunId> changed_runs_;
  std::set<WorkerId> changed_workers_;
  AttemptId last_attempt_;
  Instant now_{0};
};

}  // namespace scalelaw::server
