// The state machines of runs and attempts, one table of allowed transitions each, and the states of sweeps and workers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <absl/status/status.h>

namespace scalelaw::server {

// The first three, and the order, number their values as the API does (runs.proto, workers.proto, sweeps.proto).

enum class RunState : uint8_t { kWaiting = 1, kQueued, kRunning, kSucceeded, kFailed, kCancelled, kSkipped };
enum class AttemptState : uint8_t { kAssigned = 1, kRunning, kSucceeded, kFailed, kInterrupted, kCancelled, kLost };
enum class SweepState : uint8_t { kRunning = 1, kSucceeded, kFailed, kCancelled };
enum class WorkerState : uint8_t {
  kReady = 1,
  /// Its attempts go on; it gets no more.
  kDraining,
  /// No session, but its lease has not run out.
  kAway,
  /// Its lease ran out; its attempts were fenced.
  kLost,
  /// Drained and left.
  kGone,
};

/// In which order the runs of a sweep start, by budget.
enum class Order : uint8_t { kLongestFirst = 1, kCheapestFirst };

/// The names in the database and for people: `waiting`, `queued`, …
std::string_view name(RunState state);
std::string_view name(AttemptState state);
std::string_view name(SweepState state);
std::string_view name(WorkerState state);
std::string_view name(Order order);

/// Inverse of `name`; INTERNAL for a word that is no state.
absl::Status parse(std::string_view word, RunState& state);
absl::Status parse(std::string_view word, AttemptState& state);
absl::Status parse(std::string_view word, WorkerState& state);
absl::Status parse(std::string_view word, Order& order);

/// Nothing more happens to it by itself.
bool ended(RunState state);
bool ended(AttemptState state);

/// Moves `state` to `next`, or leaves it and returns INTERNAL naming both if the table does not allow it.
absl::Status transition(RunState& state, RunState next);
absl::Status transition(AttemptState& state, AttemptState next);

}  // namespace scalelaw::server
