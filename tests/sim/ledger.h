// The database's part in the simulation: keeps what the scheduler decides, and objects to what must never be decided.
#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "server/scheduling/scheduler.h"

namespace scalelaw::server {

/// An invariant was broken.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Ledger {
 public:
  void submit(const SweepSubmitted& event);
  /// Stores decisions as the store does. Throws Violation.
  void apply(const Decisions& decisions);
  /// What a restarted server would read.
  Snapshot snapshot() const;
  void add_worker(WorkerId id, int slots, const std::map<std::string, std::string>& labels);

  /// No slot and no run is held twice, and the scheduler remembers of what has changed exactly what is stored. Cheap
  /// enough for each event. Throws Violation.
  void check(const Scheduler& scheduler);
  /// The same for everything there is.
  void check_all(const Scheduler& scheduler);

  const std::map<RunId, Snapshot::Run>& runs() const { return runs_; }
  const std::map<SweepId, Snapshot::Sweep>& sweeps() const { return sweeps_; }
  /// Assigned or running attempts.
  size_t live() const { return live_.size(); }

 private:
  void check_assignment(const NewAttempt& attempt) const;
  void check_slots(const Scheduler& scheduler) const;
  void check_run(const Scheduler& scheduler, RunId id) const;

  std::map<RunId, Snapshot::Run> runs_;
  std::map<SweepId, Snapshot::Sweep> sweeps_;
  std::map<WorkerId, Snapshot::Worker> workers_;
  std::map<AttemptId, Snapshot::Attempt> live_;
  std::map<AttemptId, AttemptState> ended_;
  std::map<RunId, int> completions_;
  /// Since the last check.
  std::set<RunId> changed_;
  AttemptId last_attempt_;
};

}  // namespace scalelaw::server
