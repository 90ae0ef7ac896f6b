// A scheduler, the clock that it is shown, and what it decides.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "server/scheduling/scheduler.h"

namespace scalelaw::server {

using namespace std::chrono_literals;

constexpr Instant kLease = 30s;

class Cluster {
 public:
  explicit Cluster(SchedulerSettings settings = {kLease}) : scheduler(std::move(settings)) {}

  const Decisions& tell(const Event& event) { return last_ = scheduler.handle(event, now); }
  void pass(Instant time) {
    // As the coordinator does it: never asleep for long.
    for (const Instant end = now + time; now < end;) {
      now = std::min(end, now + 1s);
      tell(Tick{});
      for (const NewAttempt& attempt : last_.assignments) assignments.push_back(attempt);
    }
  }
  Cluster& with_workers(int count, int slots = 1, std::map<std::string, std::string> labels = {}) {
    for (int i = 0; i < count; ++i) tell(WorkerJoined{WorkerId{++workers}, {slots, labels}, {}});
    return *this;
  }
  Cluster& with_worker(Offer offer) {
    tell(WorkerJoined{WorkerId{++workers}, std::move(offer), {}});
    return *this;
  }
  /// One sweep of one stage; the sizes are FLOPs budgets.
  SweepSubmitted sweep(const std::vector<double>& sizes, const Requirements& need = {}, RetryPolicy retries = {2, 1s}) {
    SweepSubmitted event;
    event.sweep.id = SweepId{++sweeps};
    event.sweep.stages.push_back({"only", {}, {}});
    for (const double size : sizes) add_run(event, 0, size, need, retries);
    return event;
  }
  const Decisions& submit(const std::vector<double>& sizes, const Requirements& need = {},
                          RetryPolicy retries = {2, 1s}) {
    return tell(sweep(sizes, need, retries));
  }
  void add_run(SweepSubmitted& event, int stage, double size = 1, Requirements need = {},
               RetryPolicy retries = {2, 1s}) {
    event.new_runs.push_back({RunId{++runs}, std::move(need), retries, {BudgetKind::kFlops, size}});
    event.sweep.stages[static_cast<size_t>(stage)].runs.push_back(RunId{runs});
  }
  /// The attempts of the runs that were asked to stop save a checkpoint and stop.
  void obey(const Decisions& decisions) {
    const std::vector<Stop> stops = decisions.stops;
    for (const Stop& stop : stops) {
      if (scheduler.live(stop.attempt)) end(stop.attempt, AttemptState::kCancelled);
    }
  }
  const Decisions& end(AttemptId attempt, AttemptState outcome, bool permanent = false) {
    return tell(AttemptEnded{attempt, outcome, 1, "exit 1", permanent});
  }
  RunState state(int run) const { return scheduler.runs().at(RunId{run}).state; }
  const std::string& reason(int run) const { return scheduler.runs().at(RunId{run}).reason; }
  AttemptId current(int run) const { return scheduler.runs().at(RunId{run}).current.at(0); }
  /// By attempt, so once per member of a gang.
  std::vector<int> running() const {
    std::vector<int> ids;
    for (const auto& [id, attempt] : scheduler.attempts()) ids.push_back(attempt.run.value);
    return ids;
  }

  Scheduler scheduler;
  Instant now{1h};
  std::vector<NewAttempt> assignments;
  int workers = 0;
  int sweeps = 0;
  int runs = 0;

 private:
  Decisions last_;
};

}  // namespace scalelaw::server
