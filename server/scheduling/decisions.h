// What the scheduler is told at a restart and what it decides: plain values.
#pragma once

#include <chrono>
#include <compare>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/scheduling/ids.h"
#include "server/scheduling/states.h"

namespace scalelaw::server {

/// Time since an arbitrary origin, on a clock that only serves to measure durations.
using Instant = std::chrono::milliseconds;

/// What a run needs of a worker.
struct Requirements {
  int slots = 1;
  std::map<std::string, std::string> labels;
  auto operator<=>(const Requirements&) const = default;
};

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
};

/// A run as the scheduler sees it.
struct RunPlan {
  RunId id;
  Requirements requirements;
  RetryPolicy retries;
  Size size;
};

struct StagePlan {
  std::string name;
  /// Positions of the stages whose runs must all succeed first.
  std::vector<int> needs;
  /// In the order of the sweep. A run may be in several sweeps, and in several stages of one.
  std::vector<RunId> runs;
};

struct SweepPlan {
  SweepId id;
  /// Most runs at once; 0: no limit.
  int max_parallel = 0;
  std::vector<StagePlan> stages;
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
  };
  struct Run {
    RunPlan plan;
    RunState state = RunState::kWaiting;
    std::string reason;
    int failures = 0;
    int attempts = 0;
    StageRef owner;
  };
  /// Assigned or running.
  struct Attempt {
    AttemptId id;
    RunId run;
    WorkerId worker;
    AttemptState state = AttemptState::kAssigned;
  };
  struct Worker {
    WorkerId id;
    WorkerState state = WorkerState::kReady;
    int slots = 1;
    std::map<std::string, std::string> labels;
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
};

struct NewAttempt {
  AttemptId attempt;
  RunId run;
  int number = 1;
  WorkerId worker;
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
};

struct WorkerChange {
  WorkerId worker;
  WorkerState state;
};

// --- and to be done after they are stored ---

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
