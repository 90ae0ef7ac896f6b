#include "server/scheduling/states.h"

#include <string>
#include <utility>

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
// In the order of the enumerations, from 1.
constexpr std::array<std::string_view, 7> kRunNames = {"waiting", "queued",    "running", "succeeded",
                                                       "failed",  "cancelled", "skipped"};
constexpr std::array<std::string_view, 7> kAttemptNames = {"assigned",    "running",   "succeeded", "failed",
                                                           "interrupted", "cancelled", "lost"};
constexpr std::array<std::string_view, 4> kSweepNames = {"running", "succeeded", "failed", "cancelled"};
constexpr std::array<std::string_view, 5> kWorkerNames = {"ready", "draining", "away", "lost", "gone"};
constexpr std::array<std::string_view, 2> kOrderNames = {"longest-first", "cheapest-first"};

template <class State>
using Edge = std::pair<State, State>;

using R = RunState;
constexpr Edge<R> kRunTransitions[] = {
    {R::kWaiting, R::kQueued},     // what it needs has succeeded
    {R::kWaiting, R::kSkipped},    // what it needs has failed
    {R::kWaiting, R::kCancelled},  //
    {R::kQueued, R::kRunning},     // assigned
    {R::kQueued, R::kCancelled},   //
    {R::kRunning, R::kSucceeded},  //
    {R::kRunning, R::kFailed},     // for good
    {R::kRunning, R::kQueued},     // lost, interrupted, or to be tried again
    {R::kRunning, R::kCancelled},  //
    {R::kFailed, R::kWaiting},     // asked for again
    {R::kCancelled, R::kWaiting},  // asked for again
    {R::kSkipped, R::kWaiting},    // it, or what it needs, was asked for again
    {R::kSkipped, R::kQueued},     // … and what it needs has succeeded
};

using A = AttemptState;
constexpr Edge<A> kAttemptTransitions[] = {
    {A::kAssigned, A::kRunning},     {A::kAssigned, A::kSucceeded}, {A::kAssigned, A::kFailed},
    {A::kAssigned, A::kInterrupted}, {A::kAssigned, A::kCancelled}, {A::kAssigned, A::kLost},
    {A::kRunning, A::kSucceeded},    {A::kRunning, A::kFailed},     {A::kRunning, A::kInterrupted},
    {A::kRunning, A::kCancelled},    {A::kRunning, A::kLost},
};

template <class State, size_t n>
absl::Status parse_in(const std::array<std::string_view, n>& names, std::string_view word, State& state) {
  for (size_t i = 0; i < n; ++i) {
    if (names[i] == word) {
      state = static_cast<State>(i + 1);
      return absl::OkStatus();
    }
  }
  return absl::InternalError(fmt::format("\"{}\" is no state", word));
}

template <class State, size_t n>
absl::Status transition_in(const Edge<State> (&table)[n], const char* what, State& state, State next) {
  for (const Edge<State>& edge : table) {
    if (edge == Edge<State>{state, next}) {
      state = next;
      return absl::OkStatus();
    }
  }
  return absl::InternalError(fmt::format("{} cannot go from {} to {}", what, name(state), name(next)));
}
}  // namespace

std::string_view name(RunState state) {
  return kRunNames.at(static_cast<size_t>(state) - 1);
}
std::string_view name(AttemptState state) {
  return kAttemptNames.at(static_cast<size_t>(state) - 1);
}
std::string_view name(SweepState state) {
  return kSweepNames.at(static_cast<size_t>(state) - 1);
}
std::string_view name(WorkerState state) {
  return kWorkerNames.at(static_cast<size_t>(state) - 1);
}
std::string_view name(Order order) {
  return kOrderNames.at(static_cast<size_t>(order) - 1);
}

absl::Status parse(std::string_view word, RunState& state) {
  return parse_in(kRunNames, word, state);
}
absl::Status parse(std::string_view word, AttemptState& state) {
  return parse_in(kAttemptNames, word, state);
}
absl::Status parse(std::string_view word, WorkerState& state) {
  return parse_in(kWorkerNames, word, state);
}
absl::Status parse(std::string_view word, Order& order) {
  return parse_in(kOrderNames, word, order);
}

bool ended(RunState state) {
  return state > RunState::kRunning;
}
bool ended(AttemptState state) {
  return state > AttemptState::kRunning;
}

absl::Status transition(RunState& state, RunState next) {
  return transition_in(kRunTransitions, "a run", state, next);
}
absl::Status transition(AttemptState& state, AttemptState next) {
  return transition_in(kAttemptTransitions, "an attempt", state, next);
}

}  // namespace scalelaw::server
