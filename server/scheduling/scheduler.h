// Who runs what, where and when. A deterministic state machine: (state, event, now) → decisions; no clock, no I/O.
//
// It remembers every run and decides by these rules:
// - A stage's runs wait until all runs of the stages it needs have succeeded; if one of those fails, they are skipped.
// - Of the runs that are ready, older sweeps go first; within a sweep those on the longest chain of dependent stages,
//   then those with the largest budget, so that little is left to wait for at the end.
// - A run that needs several slots and finds none free reserves the worker that comes closest, so that it cannot
// starve.
// - A worker that is silent for longer than its lease is lost: its attempts are fenced, their runs queued again.
// - A lost or interrupted attempt costs nothing; a failed one counts against the run's retries.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <absl/status/status.h>

#include "server/scheduling/decisions.h"

namespace scalelaw::server {

/// Before a run is tried again after a failure of the machine: a full disk does not empty at once.
inline constexpr std::chrono::milliseconds kInfrastructurePause{5'000};

struct SchedulerSettings {
  std::chrono::milliseconds lease{30'000};
};

// --- events ---

/// `new_runs` are those of its runs that no earlier sweep had. Runs that failed, were cancelled or skipped before are
/// queued again on behalf of this sweep.
struct SweepSubmitted {
  SweepPlan sweep;
  std::vector<RunPlan> new_runs;
};
struct SweepCancelled {
  SweepId sweep;
};
/// Allowed where `may_retry` is OK.
struct RunRetried {
  RunId run;
};
/// A session was opened. Attempts that the worker no longer holds are lost.
struct WorkerJoined {
  WorkerId worker;
  int slots = 1;
  std::map<std::string, std::string> labels;
  std::vector<AttemptId> held;
};
struct WorkerHeard {
  WorkerId worker;
};
struct WorkerDraining {
  WorkerId worker;
};
/// Its session ended; its lease goes on.
struct WorkerLeft {
  WorkerId worker;
};
struct AttemptStarted {
  AttemptId attempt;
};
/// Ignored if the attempt is no longer its run's current one: it was fenced.
struct AttemptEnded {
  AttemptId attempt;
  AttemptState outcome = AttemptState::kSucceeded;
  std::optional<int> exit_code;
  std::string reason;
  /// Trying again cannot help.
  bool permanent = false;
  /// Failed for a cause that is not the trainer's (a full disk): it costs the run nothing.
  bool infrastructure = false;
};
/// Time passed.
struct Tick {};

using Event = std::variant<SweepSubmitted, SweepCancelled, RunRetried, WorkerJoined, WorkerHeard, WorkerDraining,
                           WorkerLeft, AttemptStarted, AttemptEnded, Tick>;

class Scheduler {
 public:
  struct Run {
    RunPlan plan;
    RunState state = RunState::kWaiting;
    std::string reason;
    int failures = 0;
    int attempts = 0;
    std::optional<AttemptId> current;
    /// Not before this, when queued.
    Instant not_before{0};
    /// On whose behalf it is trained; one of `members`.
    StageRef owner;
    std::vector<StageRef> members;
  };
  struct Attempt {
    RunId run;
    WorkerId worker;
    AttemptState state = AttemptState::kAssigned;
    bool stop_requested = false;
  };
  struct Worker {
    WorkerState state = WorkerState::kAway;
    int slots = 1;
    int used = 0;
    std::map<std::string, std::string> labels;
    Instant lease_ends{0};
    std::set<AttemptId> attempts;
  };

  explicit Scheduler(SchedulerSettings settings) : settings_(settings) {}

  /// Only before the first event. Workers get a full lease to come back; running attempts stay where they are.
  Decisions restore(const Snapshot& snapshot, Instant now);
  /// Applies the event and decides. `now` may jump: after a jump forwards, as after a pause of the whole machine,
  /// workers get the time back; after a jump backwards time stands still until it is made up for.
  Decisions handle(const Event& event, Instant now);

  /// When time alone will next change something; call `handle(Tick)` then.
  std::optional<Instant> next_due() const;
  /// OK, NOT_FOUND, or FAILED_PRECONDITION saying why this run cannot be queued again.
  absl::Status may_retry(RunId run) const;
  /// The attempt is still its run's current one.
  bool live(AttemptId attempt) const { return attempts_.contains(attempt); }

  const std::unordered_map<RunId, Run>& runs() const { return runs_; }
  /// Assigned and running ones.
  const std::map<AttemptId, Attempt>& attempts() const { return attempts_; }
  const std::map<WorkerId, Worker>& workers() const { return workers_; }
  SweepState sweep_state(SweepId sweep) const { return sweeps_.at(sweep).state; }
  bool knows(SweepId sweep) const { return sweeps_.contains(sweep); }

 private:
  enum class Gate { kOpen, kPending, kBlocked };
  struct Stage {
    StagePlan plan;
    std::vector<int> dependents;
    /// Stages on the longest chain of dependents.
    int height = 0;
    /// Of its runs, by state.
    std::array<int, 8> counts{};
    /// As last settled; unset: some of its runs must be looked at again.
    std::optional<Gate> settled;
  };
  struct Sweep {
    int max_parallel = 0;
    std::vector<Stage> stages;
    bool cancelled = false;
    SweepState state = SweepState::kRunning;
    /// As last decided, so that a change of mind is not forgotten.
    bool decided_cancelled = false;
    /// Runs that run on its behalf.
    int running = 0;
  };
  /// Runs that can take each other's place; the order inside is that of starting.
  using Group = std::pair<SweepId, Requirements>;
  struct Rank {
    SweepId sweep;
    int negative_height = 0;
    BudgetKind kind = BudgetKind::kNone;
    double negative_amount = 0;
    RunId run;
    auto operator<=>(const Rank&) const = default;
  };

  void on(const SweepSubmitted& event);
  void on(const SweepCancelled& event);
  void on(const RunRetried& event);
  void on(const WorkerJoined& event);
  void on(const WorkerHeard& event);
  void on(const WorkerDraining& event);
  void on(const WorkerLeft& event);
  void on(const AttemptStarted& event);
  void on(const AttemptEnded& event);
  void on(const Tick& event);

  // Steps of `handle`, in order.
  void forgive_own_pause(Instant now);
  void expire_leases();
  void settle_gates();
  void release_delayed();
  void place();
  void settle_sweeps();

  void add_sweep(const SweepPlan& plan);
  void ask_again(Run& run);
  void move(Run& run, RunState next, std::string reason);
  void enqueue(Run& run);
  void dequeue(Run& run);
  void give_to(Run& run, StageRef owner);
  void end(AttemptId id, const AttemptEnded& how);
  void finish_run(Run& run, const Attempt& attempt, const AttemptEnded& how);
  void requeue(Run& run, std::chrono::milliseconds delay, std::string reason);
  void request_stop(AttemptId id, Attempt& attempt, const std::string& reason);
  void assign(Run& run, WorkerId worker);
  void set_worker_state(WorkerId id, Worker& worker, WorkerState state);

  Gate gate(StageRef ref, std::string* why = nullptr) const;
  Rank rank(const Run& run) const;
  bool wanted(const Run& run) const;
  std::optional<WorkerId> best_fit(const Requirements& need, const std::set<WorkerId>& reserved) const;
  std::optional<WorkerId> closest(const Requirements& need, const std::set<WorkerId>& reserved) const;
  Stage& stage(StageRef ref) { return sweeps_.at(ref.sweep).stages[static_cast<size_t>(ref.stage)]; }
  const Stage& stage(StageRef ref) const { return sweeps_.at(ref.sweep).stages[static_cast<size_t>(ref.stage)]; }

  const SchedulerSettings settings_;
  std::map<SweepId, Sweep> sweeps_;
  std::unordered_map<RunId, Run> runs_;
  std::map<AttemptId, Attempt> attempts_;
  std::map<WorkerId, Worker> workers_;
  AttemptId last_attempt_;

  std::map<Group, std::set<Rank>> ready_;
  std::set<std::pair<Instant, RunId>> delayed_;

  // Of the event being handled.
  Instant now_{0};
  bool started_ = false;
  Decisions decisions_;
  std::set<StageRef> gates_to_settle_;
  std::set<SweepId> sweeps_to_settle_;
};

/// Why a run with these needs cannot start on any of the workers even when they are idle; empty if one could.
std::string placement_obstacle(const Requirements& need, const std::map<WorkerId, Scheduler::Worker>& workers);

}  // namespace scalelaw::server
