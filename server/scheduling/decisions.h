// What the scheduler is told at a restart and what it decides: plain values.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/scheduling/ids.h"
#include "server/scheduling/states.h"

namespace scalelaw::server {

/// Time since an arbitrary origin, on a clock that only serves to measure durations.
using Instant = std::chrono::milliseconds;

/// What a run needs of each of its workers.
struct Requirements {
  int slots = 1;
  std::map<std::string, std::string> labels;
  /// More than 1: a gang, all of it or none.
  int workers = 1;
  /// Part of the GPUs' name, in lower case.
  std::string gpu_model = {};
  /// Least memory of each GPU.
  int64_t gpu_memory_bytes = 0;
  auto operator<=>(const Requirements&) const = default;
};

/// What a worker has to give.
struct Offer {
  int slots = 1;
  std::map<std::string, std::string> labels;
  std::string gpu_model = {};
  int64_t gpu_memory_bytes = 0;
  /// A gang is one attempt there, which takes the slots of all its members.
  bool places_gangs = false;
};

/// 0 each: no limit.
struct Limits {
  /// Training FLOPs of the runs that are trained for the sweep, as they report them.
  double flops = 0;
  /// Slots × time of the attempts made for the sweep.
  std::chrono::milliseconds slot_time{0};
};
inline std::chrono::milliseconds slot_time(double hours) {
  return std::chrono::milliseconds(static_cast<int64_t>(hours * 3'600'000 + 0.5));
}

struct RetryPolicy {
  /// How often a run whose trainer failed is tried again.
  int max = 2;
  /// Before the first retry; doubles each time.
  std::chrono::milliseconds backoff{1000};
};

/// The kinds of budget cannot be compared with each other; within a kind the larger budget takes longer.
enum class BudgetKind : uint8_t { kNone, kFlops, kSamples, kSteps };
struct Size {
  BudgetKind kind = BudgetKind::kNone;
  double amount = 0;
  bool operator==(const Size&) const = default;
};

/// A run as the scheduler sees it.
struct RunPlan {
  RunId id;
  Requirements requirements;
  RetryPolicy retries;
  Size size;
};

/// Which runs of a stage are ended early, by a metric of which smaller is better; an empty name: none.
struct EarlyStopping {
  std::string metric = {};
  std::optional<double> above = {};
  /// A share of the budget, from 0 to 1.
  std::optional<double> worse_than_median_after = {};
};

struct StagePlan {
  std::string name;
  /// Positions of the stages whose runs must all succeed first.
  std::vector<int> needs;
  /// In the order of the sweep. A run may be in several sweeps, and in several stages of one.
  std::vector<RunId> runs;
  EarlyStopping early_stopping = {};
};

struct SweepPlan {
  SweepId id;
  /// Most runs at once; 0: no limit.
  int max_parallel = 0;
  std::vector<StagePlan> stages;
  int priority = 0;
  std::string owner = {};
  Limits limits = {};
  Order order = Order::kLongestFirst;
};

/// A stage of a sweep, by position.
struct StageRef {
  SweepId sweep;
  int stage = 0;
  auto operator<=>(const StageRef&) const = default;
};

/// Everything the scheduler must know again after a restart of the server.
struct Snapshot {
  struct Sweep {
    SweepPlan plan;
    bool cancelled = false;
    SweepState state = SweepState::kRunning;
    /// Why it is paused.
    std::optional<std::string> paused = {};
    /// Slots × time of its attempts up to now.
    std::chrono::milliseconds slot_time{0};
  };
  struct Run {
    RunPlan plan;
    RunState state = RunState::kWaiting;
    std::string reason;
    int failures = 0;
    int attempts = 0;
    StageRef owner;
    /// As last reported.
    double flops = 0;
    /// Running, and a member of its gang has ended badly already.
    bool broken = false;
    /// Of its newest attempt.
    std::optional<WorkerId> last = {};
    bool stopped_early = false;
  };
  /// Assigned or running; the members of a gang by rank.
  struct Attempt {
    AttemptId id;
    RunId run;
    WorkerId worker;
    AttemptState state = AttemptState::kAssigned;
    int slots = 1;
    SweepId sweep = {};
    /// Why it was asked to stop.
    std::optional<std::string> stop = {};
  };
  struct Worker {
    WorkerId id;
    WorkerState state = WorkerState::kReady;
    Offer offer;
    std::string drain_reason = {};
  };
  std::vector<Sweep> sweeps;
  std::vector<Run> runs;
  std::vector<Attempt> attempts;
  std::vector<Worker> workers;
  AttemptId last_attempt;
};

// --- decisions, to be stored in this order ---

struct RunChange {
  RunId run;
  RunState state;
  /// Why it was skipped, failed, cancelled or queued again.
  std::string reason;
  int failures = 0;
  /// On whose behalf it is trained.
  StageRef owner;
  /// Cancelled as hopeless.
  bool stopped_early = false;
};

struct NewAttempt {
  AttemptId attempt;
  RunId run;
  int number = 1;
  WorkerId worker;
  /// Of the gang's member.
  int rank = 0;
  /// That it takes of the worker.
  int slots = 1;
  /// On whose account it goes.
  SweepId sweep = {};
};

struct AttemptChange {
  AttemptId attempt;
  AttemptState state;
  std::optional<int> exit_code;
  std::string reason;
};

struct SweepChange {
  SweepId sweep;
  SweepState state;
  /// Asked for by a person; such a sweep stays cancelled.
  bool cancelled = false;
  /// Why nothing more of it is started.
  std::optional<std::string> paused = {};
  Limits limits = {};
};

struct WorkerChange {
  WorkerId worker;
  WorkerState state;
  /// Why it gets nothing more, where that is not its own wish.
  std::string drain_reason = {};
};

/// Stored, so that it can be repeated, and then done.
struct Stop {
  AttemptId attempt;
  WorkerId worker;
  std::string reason;
};

struct Decisions {
  std::vector<AttemptChange> attempts;
  std::vector<RunChange> runs;
  std::vector<NewAttempt> assignments;
  std::vector<SweepChange> sweeps;
  std::vector<WorkerChange> workers;
  std::vector<Stop> stops;

  bool empty() const;
};

}  // namespace scalelaw::server
