#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/cluster.h"

namespace scalelaw::server {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Stage 0 (one run), stage 1 needs it (two runs), stage 2 needs stage 1 (one run).
SweepSubmitted chain(Cluster& cluster) {
  SweepSubmitted event;
  event.sweep.id = SweepId{++cluster.sweeps};
  event.sweep.stages = {{"scorer", {}, {}}, {"ladder", {0}, {}}, {"top", {1}, {}}};
  cluster.add_run(event, 0, 1, {}, {0, 1s});
  cluster.add_run(event, 1);
  cluster.add_run(event, 1);
  cluster.add_run(event, 2);
  return event;
}

TEST(Placement, LargestBudgetsStartFirst) {
  Cluster cluster;
  cluster.with_workers(2).submit({1e9, 3e9, 2e9});
  EXPECT_THAT(cluster.running(), ElementsAre(2, 3));
}

TEST(Placement, StagesThatOthersWaitForGoFirst) {
  Cluster cluster;
  SweepSubmitted event;
  event.sweep.id = SweepId{++cluster.sweeps};
  event.sweep.stages = {{"free", {}, {}}, {"scorer", {}, {}}, {"ladder", {1}, {}}};
  cluster.add_run(event, 0, 1e12);
  cluster.add_run(event, 1, 1);
  cluster.add_run(event, 2, 1);
  cluster.with_workers(1).tell(event);
  EXPECT_THAT(cluster.running(), ElementsAre(2));
}

TEST(Placement, MaxParallelHoldsBackEvenWithFreeSlots) {
  Cluster cluster;
  SweepSubmitted event;
  event.sweep = {SweepId{++cluster.sweeps}, 2, {{"only", {}, {}}}};
  for (int i = 0; i < 5; ++i) cluster.add_run(event, 0);
  cluster.with_workers(1, 8).tell(event);
  EXPECT_EQ(cluster.running().size(), 2u);
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  EXPECT_EQ(cluster.running().size(), 2u);
}

TEST(Placement, LabelsMustMatch) {
  Cluster cluster;
  cluster.with_workers(1, 1, {{"gpu", "a100"}}).submit({1}, {1, {{"gpu", "h100"}}});
  EXPECT_EQ(cluster.state(1), RunState::kQueued);
  EXPECT_THAT(placement_obstacle({1, {{"gpu", "h100"}}}, cluster.scheduler.workers()), HasSubstr("gpu=h100"));
  cluster.with_workers(1, 1, {{"gpu", "h100"}});
  EXPECT_EQ(cluster.state(1), RunState::kRunning);
}

TEST(Placement, ASmallRunLeavesTheLargeGapOpen) {
  Cluster cluster;
  cluster.with_workers(1, 4).with_workers(1, 1).submit({1});
  EXPECT_EQ(cluster.scheduler.attempts().begin()->second.worker, WorkerId{2});
}

TEST(Placement, ARunOfSeveralSlotsIsNotStarvedBySmallOnes) {
  Cluster cluster;
  cluster.with_workers(1, 2).submit({9, 8});
  SweepSubmitted event;
  event.sweep = {SweepId{++cluster.sweeps}, 0, {{"only", {}, {}}}};
  cluster.add_run(event, 0, 100, {2, {}});
  for (int i = 0; i < 10; ++i) cluster.add_run(event, 0, 1);
  cluster.tell(event);
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  EXPECT_THAT(cluster.running(), ElementsAre(2)) << "the free slot is kept for run 3";
  cluster.end(cluster.current(2), AttemptState::kSucceeded);
  EXPECT_THAT(cluster.running(), ElementsAre(3));
}

TEST(Placement, DrainingWorkersGetNothingMore) {
  Cluster cluster;
  cluster.with_workers(1, 2).submit({1});
  cluster.tell(WorkerDraining{WorkerId{1}});
  cluster.submit({1});
  EXPECT_THAT(cluster.running(), ElementsAre(1));
}

TEST(Stages, WaitForAllRunsOfWhatTheyNeed) {
  Cluster cluster;
  cluster.with_workers(1, 4).tell(chain(cluster));
  EXPECT_THAT(cluster.running(), ElementsAre(1));
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  EXPECT_THAT(cluster.running(), ElementsAre(2, 3));
  cluster.end(cluster.current(2), AttemptState::kSucceeded);
  EXPECT_EQ(cluster.state(4), RunState::kWaiting);
  cluster.end(cluster.current(3), AttemptState::kSucceeded);
  EXPECT_THAT(cluster.running(), ElementsAre(4));
  cluster.end(cluster.current(4), AttemptState::kSucceeded);
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{1}), SweepState::kSucceeded);
}

TEST(Stages, AreSkippedWithTheReasonWhenWhatTheyNeedFails) {
  Cluster cluster;
  cluster.with_workers(1, 4).tell(chain(cluster));
  cluster.end(cluster.current(1), AttemptState::kFailed);
  EXPECT_EQ(cluster.state(1), RunState::kFailed);
  EXPECT_EQ(cluster.state(2), RunState::kSkipped);
  EXPECT_EQ(cluster.state(4), RunState::kSkipped);
  EXPECT_THAT(cluster.reason(2), testing::AllOf(HasSubstr("scorer"), HasSubstr("exit 1")));
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{1}), SweepState::kFailed);
}

TEST(Stages, RetryingTheCauseBringsTheSkippedRunsBack) {
  Cluster cluster;
  cluster.with_workers(1, 4).tell(chain(cluster));
  cluster.end(cluster.current(1), AttemptState::kFailed);
  EXPECT_EQ(cluster.scheduler.may_retry(RunId{2}).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(cluster.scheduler.may_retry(RunId{1}).ok());
  cluster.tell(RunRetried{RunId{1}});
  EXPECT_EQ(cluster.state(1), RunState::kRunning);
  EXPECT_EQ(cluster.state(4), RunState::kWaiting);
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{1}), SweepState::kRunning);
}

TEST(Retries, AFailedTrainerIsTriedAgainAfterABackOffThatDoubles) {
  Cluster cluster;
  cluster.with_workers(1).submit({1}, {}, {2, 4s});
  EXPECT_THAT(cluster.end(cluster.current(1), AttemptState::kFailed).assignments, IsEmpty());
  cluster.pass(3s);
  EXPECT_THAT(cluster.assignments, IsEmpty());
  cluster.pass(1s);
  ASSERT_EQ(cluster.assignments.size(), 1u);
  EXPECT_EQ(cluster.assignments[0].number, 2);
  cluster.end(cluster.current(1), AttemptState::kFailed);
  cluster.pass(7s);
  EXPECT_EQ(cluster.assignments.size(), 1u);
  cluster.pass(1s);
  EXPECT_EQ(cluster.assignments.size(), 2u);
  cluster.end(cluster.current(1), AttemptState::kFailed);
  EXPECT_EQ(cluster.state(1), RunState::kFailed);
  EXPECT_THAT(cluster.reason(1), HasSubstr("tried 3 times"));
}

TEST(Retries, APermanentFailureIsNotTriedAgain) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  cluster.end(cluster.current(1), AttemptState::kFailed, /*permanent=*/true);
  EXPECT_EQ(cluster.state(1), RunState::kFailed);
}

TEST(Retries, LostAndInterruptedAttemptsCostNothing) {
  Cluster cluster;
  cluster.with_workers(1).submit({1}, {}, {0, 1s});
  for (int i = 0; i < 5; ++i) {
    cluster.end(cluster.current(1), i % 2 == 0 ? AttemptState::kLost : AttemptState::kInterrupted);
    cluster.tell(WorkerHeard{WorkerId{1}});
    cluster.pass(1s);
  }
  EXPECT_EQ(cluster.state(1), RunState::kRunning);
  EXPECT_EQ(cluster.scheduler.runs().at(RunId{1}).failures, 0);
}

TEST(Retries, AFailureOfTheMachineCostsNothingAndWaitsBeforeTheNextTry) {
  Cluster cluster;
  cluster.with_workers(1).submit({1}, {}, {0, 1s});
  for (int i = 0; i < 3; ++i) {
    cluster.tell(AttemptEnded{cluster.current(1), AttemptState::kFailed, 1, "disk full", false, true});
    EXPECT_EQ(cluster.state(1), RunState::kQueued);
    EXPECT_EQ(cluster.reason(1), "disk full");
    cluster.tell(WorkerHeard{WorkerId{1}});
    cluster.pass(kInfrastructurePause);
    EXPECT_EQ(cluster.state(1), RunState::kRunning);
  }
}

TEST(Lease, ASilentWorkerIsLostAndItsRunGoesElsewhere) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  const AttemptId first = cluster.current(1);
  cluster.pass(kLease / 2);
  cluster.with_workers(1);
  cluster.pass(kLease / 2);
  EXPECT_FALSE(cluster.scheduler.live(first));
  EXPECT_EQ(cluster.scheduler.workers().at(WorkerId{1}).state, WorkerState::kLost);
  EXPECT_EQ(cluster.scheduler.attempts().at(cluster.current(1)).worker, WorkerId{2});
}

TEST(Lease, TheEndOfAFencedAttemptIsIgnored) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  const AttemptId fenced = cluster.current(1);
  cluster.pass(kLease);
  EXPECT_TRUE(cluster.end(fenced, AttemptState::kSucceeded).empty());
  EXPECT_EQ(cluster.state(1), RunState::kQueued);
}

TEST(Lease, AnyWordRenewsIt) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  for (int i = 0; i < 10; ++i) {
    cluster.pass(kLease - 1s);
    cluster.tell(WorkerHeard{WorkerId{1}});
  }
  EXPECT_EQ(cluster.state(1), RunState::kRunning);
}

TEST(Lease, TheServersOwnPauseIsNotHeldAgainstItsWorkers) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  const AttemptId attempt = cluster.current(1);
  cluster.now += 10 * kLease;
  cluster.tell(Tick{});
  EXPECT_TRUE(cluster.scheduler.live(attempt));
}

TEST(Workers, ComingBackWithItsAttemptKeepsIt) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  const AttemptId attempt = cluster.current(1);
  cluster.tell(WorkerLeft{WorkerId{1}});
  cluster.tell(WorkerJoined{WorkerId{1}, {}, {attempt}});
  EXPECT_EQ(cluster.current(1), attempt);
}

TEST(Workers, ComingBackWithoutItsAttemptLosesIt) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  const AttemptId attempt = cluster.current(1);
  const Decisions& decisions = cluster.tell(WorkerJoined{WorkerId{1}, {}, {}});
  EXPECT_EQ(decisions.attempts.at(0).state, AttemptState::kLost);
  EXPECT_FALSE(cluster.scheduler.live(attempt));
  EXPECT_EQ(cluster.state(1), RunState::kRunning) << "in a new attempt";
}

TEST(Cancel, QueuedRunsEndAtOnceAndRunningOnesAreAskedToStop) {
  Cluster cluster;
  cluster.with_workers(1).submit({2, 1});
  const AttemptId attempt = cluster.current(1);
  const Decisions& decisions = cluster.tell(SweepCancelled{SweepId{1}});
  EXPECT_EQ(decisions.stops.at(0).attempt, attempt);
  EXPECT_EQ(cluster.state(2), RunState::kCancelled);
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{1}), SweepState::kRunning);
  cluster.end(attempt, AttemptState::kInterrupted);
  EXPECT_EQ(cluster.state(1), RunState::kCancelled);
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{1}), SweepState::kCancelled);
}

TEST(Cancel, WaitingRunsAreCancelledNotSkipped) {
  Cluster cluster;
  cluster.tell(chain(cluster));
  cluster.tell(SweepCancelled{SweepId{1}});
  for (int run = 1; run <= 4; ++run) EXPECT_EQ(cluster.state(run), RunState::kCancelled);
}

TEST(Cancel, ARunThatAnotherSweepWantsGoesOn) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  SweepSubmitted second;
  second.sweep = {SweepId{++cluster.sweeps}, 0, {{"same", {}, {RunId{1}}}}};
  cluster.tell(second);
  EXPECT_THAT(cluster.tell(SweepCancelled{SweepId{1}}).stops, IsEmpty());
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{1}), SweepState::kCancelled);
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{2}), SweepState::kSucceeded);
}

TEST(Cancel, IsRepeatedToAWorkerThatWasAway) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  const AttemptId attempt = cluster.current(1);
  cluster.tell(WorkerLeft{WorkerId{1}});
  cluster.tell(SweepCancelled{SweepId{1}});
  EXPECT_EQ(cluster.tell(WorkerJoined{WorkerId{1}, {}, {attempt}}).stops.at(0).attempt, attempt);
}

TEST(Reuse, AFinishedRunOfTheStudyIsNotTrainedAgain) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  SweepSubmitted second;
  second.sweep = {SweepId{++cluster.sweeps}, 0, {{"same", {}, {RunId{1}}}}};
  EXPECT_THAT(cluster.tell(second).assignments, IsEmpty());
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{2}), SweepState::kSucceeded);
}

TEST(Reuse, AFailedRunIsQueuedAgain) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  cluster.end(cluster.current(1), AttemptState::kFailed, /*permanent=*/true);
  SweepSubmitted second;
  second.sweep = {SweepId{++cluster.sweeps}, 0, {{"same", {}, {RunId{1}}}}};
  cluster.tell(second);
  EXPECT_EQ(cluster.state(1), RunState::kRunning);
  EXPECT_EQ(cluster.scheduler.runs().at(RunId{1}).owner.sweep, SweepId{2});
}

TEST(Restart, RunningAttemptsStayAndTheirWorkersGetAFullLease) {
  Snapshot snapshot;
  Snapshot::Run& run = snapshot.runs.emplace_back();
  run.plan.id = RunId{1};
  run.state = RunState::kRunning;
  run.attempts = 1;
  run.owner = {SweepId{1}, 0};
  snapshot.sweeps.push_back({{SweepId{1}, 0, {{"only", {}, {RunId{1}}}}}, false, SweepState::kRunning});
  snapshot.workers.push_back({WorkerId{1}, WorkerState::kReady, {}});
  snapshot.attempts.push_back({AttemptId{9}, RunId{1}, WorkerId{1}, AttemptState::kRunning, 1, SweepId{1}});
  snapshot.last_attempt = AttemptId{9};
  Cluster cluster;
  cluster.scheduler.restore(snapshot, cluster.now);
  cluster.pass(kLease - 1s);
  EXPECT_TRUE(cluster.scheduler.live(AttemptId{9}));
  cluster.pass(1s);
  EXPECT_FALSE(cluster.scheduler.live(AttemptId{9}));
  cluster.with_workers(1);
  EXPECT_EQ(cluster.current(1), AttemptId{10});
}

}  // namespace
}  // namespace scalelaw::server
