// Who runs what, where and when. A deterministic state machine: (state, event, now) → decisions; no clock, no I/O.
//
// It remembers every run and decides by these rules:
// - A stage's runs wait until all runs of the stages it needs have succeeded; if one of those fails, they are skipped.
// - Of the runs that are ready, those of a larger priority go first; within a priority those of the owner who has least
//   for his weight; then older sweeps; within a sweep those on the longest chain of dependent stages, then by its
//   order.
// - What a larger priority lacks is taken from smaller ones: their runs save a checkpoint, stop and resume later.
// - A run that needs several slots or several workers and does not find them keeps what comes closest free, so that it
//   cannot starve; other runs fill only what it does not need.
// - A gang starts whole. When one of its attempts ends badly the others are stopped, and it is tried again as a whole.
// - A run that diverges or is worse than most is ended early where its stage says so.
// - A sweep that is paused, by a person or because it has reached a limit, starts nothing more.
// - A worker that is silent for longer than its lease is lost: its attempts are fenced, their runs queued again.
// - A lost or interrupted attempt costs nothing; a failed one counts against the run's retries if it was the trainer's
//   fault. What failed by its machine's fault, or twice, is tried on another worker. A worker whose failures pile up is
//   drained.
//
// The parts: scheduler.cc (events), attempts.cc (how they end), stages.cc (what waits for what, and when a sweep is
// over), accounts.cc (pauses and limits), placement.cc (who is next, and where).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
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
  /// Of owners; those not named weigh 1.
  std::map<std::string, double> shares = {};
  /// Failures of a worker, without a success between them, after which it is drained.
  int faults_to_drain = 3;
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
/// Nothing more of it is started; its running runs are asked to save a checkpoint and stop, or go on to their end.
struct SweepPaused {
  SweepId sweep;
  std::string reason;
  bool let_running_finish = false;
};
/// Allowed where `may_resume` is OK.
struct SweepResumed {
  SweepId sweep;
  Limits limits;
};
/// Allowed where `may_retry` is OK.
struct RunRetried {
  RunId run;
};
/// A session was opened. Attempts that the worker no longer holds are lost.
struct WorkerJoined {
  WorkerId worker;
  Offer offer;
  std::vector<AttemptId> held;
};
struct WorkerHeard {
  WorkerId worker;
};
struct WorkerDraining {
  WorkerId worker;
};
/// It gets nothing more until it is undrained; what runs there goes on.
struct WorkerDrained {
  WorkerId worker;
  std::string reason;
};
struct WorkerUndrained {
  WorkerId worker;
};
/// Its session ended; its lease goes on.
struct WorkerLeft {
  WorkerId worker;
};
struct AttemptStarted {
  AttemptId attempt;
};
struct AttemptReported {
  AttemptId attempt;
  /// Training FLOPs that its run has behind it.
  double flops = 0;
  /// Share of its budget that is used.
  double share = 0;
  /// Values since the last report of the metric that decides about early stopping.
  std::optional<double> lowest = {};
  std::optional<double> highest = {};
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

using Event = std::variant<SweepSubmitted, SweepCancelled, SweepPaused, SweepResumed, RunRetried, WorkerJoined,
                           WorkerHeard, WorkerDraining, WorkerDrained, WorkerUndrained, WorkerLeft, AttemptStarted,
                           AttemptReported, AttemptEnded, Tick>;

class Scheduler {
 public:
  /// How an attempt ended that decides about its run.
  struct Verdict {
    AttemptEnded how;
    /// Why it had been asked to stop.
    std::optional<std::string> stop;
  };
  /// A run that will come to nothing, while it is being stopped.
  struct GivenUp {
    std::string reason;
    /// It diverged; otherwise it is hopeless.
    bool failed = false;
  };
  struct Run {
    RunPlan plan;
    RunState state = RunState::kWaiting;
    std::string reason;
    int failures = 0;
    int attempts = 0;
    /// Of the gang's members, those that have not ended; one where it is no gang.
    std::vector<AttemptId> current;
    /// Of the first member that ended badly, while the others are being stopped.
    std::optional<Verdict> verdict;
    /// Not before this, when queued.
    Instant not_before{0};
    /// Not there, as long as another worker could do it.
    std::optional<WorkerId> avoid;
    /// Where its newest attempt ran, and so its checkpoint is: there again if there is room.
    std::optional<WorkerId> last;
    /// Where its trainer failed, since its last success or person's wish.
    std::set<WorkerId> failed_on;
    /// On whose behalf it is trained; one of `members`.
    StageRef owner;
    std::vector<StageRef> members;
    double flops = 0;
    /// The best value of the metric by which its stage stops runs early, and what it was when it was compared.
    std::optional<double> best;
    std::optional<double> compared;
    std::optional<GivenUp> given_up;
    bool stopped_early = false;
  };
  struct Attempt {
    RunId run;
    WorkerId worker;
    AttemptState state = AttemptState::kAssigned;
    int slots = 1;
    /// On whose account it goes.
    SweepId sweep;
    /// Of that sweep.
    int priority = 0;
    /// Why it was asked to stop.
    std::optional<std::string> stop;
  };
  struct Worker : Offer {
    WorkerState state = WorkerState::kAway;
    /// Why it is drained, by a person or for its failures.
    std::string drain_reason;
    /// Slots of its attempts, and of those among them that were asked to stop.
    int used = 0;
    int stopping = 0;
    /// Free slots by which it is found; 0 while it gets nothing.
    int listed = 0;
    /// Without a success between them.
    int faults = 0;
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
  /// OK, or FAILED_PRECONDITION saying that it is not paused or which limit would pause it again.
  absl::Status may_resume(SweepId sweep, const Limits& limits) const;
  /// Of a sweep that it knows, with what it has spent.
  const Limits& limits(SweepId sweep) const { return sweeps_.at(sweep).limits; }
  Limits spent(SweepId sweep) const;
  bool paused(SweepId sweep) const { return sweeps_.at(sweep).paused.has_value(); }
  /// The attempt is still its run's current one.
  bool live(AttemptId attempt) const { return attempts_.contains(attempt); }

  const std::unordered_map<RunId, Run>& runs() const { return runs_; }
  /// Assigned and running ones.
  const std::map<AttemptId, Attempt>& attempts() const { return attempts_; }
  const std::map<WorkerId, Worker>& workers() const { return workers_; }
  SweepState sweep_state(SweepId sweep) const { return sweeps_.at(sweep).state; }
  bool knows(SweepId sweep) const { return sweeps_.contains(sweep); }
  /// Of a stage of a sweep that it knows.
  const EarlyStopping& early_stopping(StageRef ref) const { return stage(ref).plan.early_stopping; }

 private:
  enum class Gate { kOpen, kPending, kBlocked };
  struct Stage {
    StagePlan plan;
    std::vector<int> dependents;
    /// Stages on the longest chain of dependents.
    int height = 0;
    /// Of its runs, by state; and those that were cancelled as hopeless.
    std::array<int, 8> counts{};
    int stopped_early = 0;
    /// As last settled; unset: some of its runs must be looked at again.
    std::optional<Gate> settled;
  };
  struct Sweep {
    int max_parallel = 0;
    int priority = 0;
    std::string owner;
    Order order = Order::kLongestFirst;
    std::vector<Stage> stages;
    bool cancelled = false;
    SweepState state = SweepState::kRunning;
    std::optional<std::string> paused;
    Limits limits;
    /// State, cancelled and paused as last decided, so that no change is forgotten.
    std::tuple<SweepState, bool, std::optional<std::string>> decided{SweepState::kRunning, false, std::nullopt};
    /// Runs that run on its behalf.
    int running = 0;
    /// Slots that its attempts hold; slots × time up to `accrued`.
    int slots = 0;
    std::chrono::milliseconds slot_time{0};
    Instant accrued{0};
    /// Of the runs that are trained for it.
    double flops = 0;
  };
  /// Runs that can take each other's place; the order inside is that of starting.
  struct Group {
    SweepId sweep;
    Requirements need;
    std::optional<WorkerId> avoid;
    auto operator<=>(const Group&) const = default;
  };
  struct Rank {
    SweepId sweep;
    int negative_height = 0;
    BudgetKind kind = BudgetKind::kNone;
    /// Of the budget, negative where the longest goes first.
    double amount = 0;
    RunId run;
    auto operator<=>(const Rank&) const = default;
  };
  struct Queue {
    std::set<Rank> ranks;
    /// Slots may be taken from others for it. Not so once that has been tried, until it gets more runs, or something
    /// else changes that matters.
    bool may_preempt = true;
  };
  using Ready = std::map<Group, Queue>;
  /// The first run of each group of one owner.
  using Heads = std::set<std::pair<Rank, Ready::value_type*>>;
  /// Slots that are kept for runs which wait for more, by worker.
  using Holds = std::map<WorkerId, int>;
  struct Seat {
    WorkerId worker;
    int slots = 1;
  };
  /// Slots that a worker lacks for a run, and the worker.
  using Lack = std::pair<int, WorkerId>;

  void on(const SweepSubmitted& event);
  void on(const SweepCancelled& event);
  void on(const SweepPaused& event);
  void on(const SweepResumed& event);
  void on(const RunRetried& event);
  void on(const WorkerJoined& event);
  void on(const WorkerHeard& event);
  void on(const WorkerDraining& event);
  void on(const WorkerDrained& event);
  void on(const WorkerUndrained& event);
  void on(const WorkerLeft& event);
  void on(const AttemptStarted& event);
  void on(const AttemptReported& event);
  void on(const AttemptEnded& event);
  void on(const Tick& event);

  // Steps of `handle`, in order.
  void forgive_own_pause(Instant now);
  void expire_leases();
  void check_limits();
  void settle_gates();
  void release_delayed();
  void place();
  void settle_sweeps();

  void add_sweep(const SweepPlan& plan);
  void ask_again(Run& run);
  void move(Run& run, RunState next, std::string reason);
  void give_to(Run& run, StageRef owner);
  bool hand_over(Run& run, bool also_to_paused);

  // attempts.cc
  void end(AttemptId id, const AttemptEnded& how);
  void finish_run(Run& run, const Verdict& verdict, WorkerId worker);
  void judge(WorkerId worker, Run& run, const AttemptEnded& how);
  void add_fault(WorkerId id, const std::string& reason);
  void requeue(Run& run, std::chrono::milliseconds delay, std::string reason);
  void request_stop(AttemptId id, const std::string& reason);
  void stop_all(const Run& run, const std::string& reason);
  void give_up_if_hopeless(Run& run, const AttemptReported& report);

  // accounts.cc
  void charge(Sweep& sweep, int slots);

  // placement.cc
  void enqueue(Run& run);
  void dequeue(Run& run);
  void requeue_group(const Group& key, const Rank& rank, bool queued);
  void reconsider(std::optional<SweepId> sweep);
  void reconsider_preemptors();
  bool start_or_hold(int priority, const std::map<std::string, Heads>& owners, Holds& holds);
  bool any_to_give(const Holds& holds) const;
  bool may_start(const Group& group, int more = 0) const;
  double share(const std::string& owner) const;
  void assign(Run& run, const std::vector<Seat>& seats);
  void take(WorkerId id, Worker& worker, int slots);
  void offer(WorkerId id, int priority, int slots);
  void stopping(WorkerId id, Worker& worker, int slots);
  bool suits(WorkerId id, const Worker& worker, const Group& group, bool avoid) const;
  const std::vector<WorkerId>& fitting(const Requirements& need);
  bool avoidable(const Group& group);
  int unheld(WorkerId id, const Worker& worker, const Holds& holds) const;
  std::vector<Seat> seats(const Group& group, std::optional<WorkerId> last, const Holds& holds);
  int takeable(WorkerId id, int priority) const;
  std::vector<Lack> lacking(const Group& group, std::optional<int> priority, const Holds& holds);
  std::vector<WorkerId> enough_for(const Group& group, std::vector<Lack> workers) const;
  void hold_closest(const Group& group, Holds& holds);
  void hold_what_stops(const Group& group, Holds& holds);
  bool preempt_for(const Group& group, int priority, Holds& holds);
  void make_room(WorkerId id, int slots, int priority, const std::string& reason, Holds& holds);

  void set_worker_state(WorkerId id, Worker& worker, WorkerState state);
  Gate gate(StageRef ref, std::string* why = nullptr) const;
  Rank rank(const Run& run) const;
  bool wanted(const Run& run) const;
  Stage& stage(StageRef ref) { return sweeps_.at(ref.sweep).stages[static_cast<size_t>(ref.stage)]; }
  const Stage& stage(StageRef ref) const { return sweeps_.at(ref.sweep).stages[static_cast<size_t>(ref.stage)]; }

  const SchedulerSettings settings_;
  std::map<SweepId, Sweep> sweeps_;
  std::unordered_map<RunId, Run> runs_;
  std::map<AttemptId, Attempt> attempts_;
  std::map<WorkerId, Worker> workers_;
  AttemptId last_attempt_;

  Ready ready_;
  /// By falling priority, then owner.
  std::map<int, std::map<std::string, Heads>, std::greater<>> heads_;
  std::set<std::pair<Instant, RunId>> delayed_;
  /// Free slots of the workers that may get more.
  std::set<std::pair<int, WorkerId>> free_;
  /// Slots that attempts hold, by owner; and those of them that were not asked to stop, by priority
  /// and worker.
  std::map<std::string, int> used_by_;
  std::map<int, std::map<WorkerId, int>> takeable_;
  /// With attempts that were asked to stop.
  std::set<WorkerId> stopping_;
  /// For whom slots were taken since they last looked.
  std::vector<Group> preemptors_;
  std::map<Requirements, std::vector<WorkerId>> fitting_;
  /// Sweeps that may have a limit.
  std::set<SweepId> limited_;
  /// No lease ends before this.
  Instant no_lease_before_{0};
  /// Something has changed that may let a run start.
  bool may_place_ = false;
  /// Or that slots can be taken from others.
  bool may_preempt_ = false;
  int preemptions_left_ = 0;

  // Of the event being handled.
  Instant now_{0};
  bool started_ = false;
  Decisions decisions_;
  std::set<StageRef> gates_to_settle_;
  std::set<SweepId> sweeps_to_settle_;
};

/// Whether the worker has what each member of such a run needs, were it idle.
bool fits(const Requirements& need, const Offer& offer);
/// Why a run with these needs cannot start on any of the workers even when they are idle; empty if one could.
std::string placement_obstacle(const Requirements& need, const std::map<WorkerId, Scheduler::Worker>& workers);

}  // namespace scalelaw::server
