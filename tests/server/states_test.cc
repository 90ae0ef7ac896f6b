#include "server/scheduling/states.h"

#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scalelaw/v1/runs.pb.h"
#include "scalelaw/v1/sweeps.pb.h"
#include "scalelaw/v1/workers.pb.h"

namespace scalelaw::server {
namespace {

using R = RunState;
using A = AttemptState;

template <class State>
std::set<std::pair<State, State>> allowed(State last) {
  std::set<std::pair<State, State>> edges;
  for (int from = 1; from <= static_cast<int>(last); ++from) {
    for (int to = 1; to <= static_cast<int>(last); ++to) {
      State state = static_cast<State>(from);
      if (transition(state, static_cast<State>(to)).ok()) edges.insert({static_cast<State>(from), state});
    }
  }
  return edges;
}

TEST(RunStates, AllowedTransitionsAreExactlyThese) {
  const std::set<std::pair<R, R>> expected = {
      {R::kWaiting, R::kQueued}, {R::kWaiting, R::kSkipped},   {R::kWaiting, R::kCancelled},
      {R::kQueued, R::kRunning}, {R::kQueued, R::kCancelled},  {R::kRunning, R::kSucceeded},
      {R::kRunning, R::kFailed}, {R::kRunning, R::kQueued},    {R::kRunning, R::kCancelled},
      {R::kFailed, R::kWaiting}, {R::kCancelled, R::kWaiting}, {R::kSkipped, R::kWaiting},
      {R::kSkipped, R::kQueued}};
  EXPECT_EQ(allowed(R::kSkipped), expected);
}

TEST(AttemptStates, OnlyLiveAttemptsMove) {
  const std::set<std::pair<A, A>> edges = allowed(A::kLost);
  EXPECT_EQ(edges.size(), 11u);
  for (const auto& [from, to] : edges) EXPECT_FALSE(ended(from)) << name(from) << " to " << name(to);
}

TEST(RunStates, IllegalTransitionNamesBothAndChangesNothing) {
  R state = R::kSucceeded;
  const absl::Status status = transition(state, R::kQueued);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(testing::HasSubstr("succeeded"), testing::HasSubstr("queued")));
  EXPECT_EQ(state, R::kSucceeded);
}

TEST(States, AreNumberedAsTheApiNumbersThem) {
  EXPECT_EQ(static_cast<int>(R::kWaiting), v1::RUN_STATE_WAITING);
  EXPECT_EQ(static_cast<int>(R::kSkipped), v1::RUN_STATE_SKIPPED);
  EXPECT_EQ(static_cast<int>(A::kAssigned), v1::ATTEMPT_STATE_ASSIGNED);
  EXPECT_EQ(static_cast<int>(A::kLost), v1::ATTEMPT_STATE_LOST);
  EXPECT_EQ(static_cast<int>(SweepState::kCancelled), v1::SWEEP_STATE_CANCELLED);
}

}  // namespace
}  // namespace scalelaw::server
