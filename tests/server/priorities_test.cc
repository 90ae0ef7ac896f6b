// Who goes first: priorities, owners, orders, preemption, limits and pauses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/cluster.h"

namespace scalelaw::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

SweepSubmitted with_priority(SweepSubmitted event, int priority) {
  event.sweep.priority = priority;
  return event;
}
SweepSubmitted of(const std::string& owner, SweepSubmitted event) {
  event.sweep.owner = owner;
  return event;
}

TEST(Priority, ALargerOneStartsFirstHoweverLateItWasSubmitted) {
  Cluster cluster;
  cluster.tell(cluster.sweep({9, 9}));
  cluster.tell(with_priority(cluster.sweep({1}), 5));
  cluster.with_workers(1);
  EXPECT_THAT(cluster.running(), ElementsAre(3));
}

TEST(Preemption, TakesTheSlotsOfASmallerPriorityAndGivesThemBack) {
  Cluster cluster;
  cluster.with_workers(1, 2).submit({9, 8});
  const Decisions decisions = cluster.tell(with_priority(cluster.sweep({1}), 5));
  ASSERT_EQ(decisions.stops.size(), 1u);
  EXPECT_EQ(decisions.stops[0].attempt, AttemptId{2}) << "the newest attempt has least to lose";
  EXPECT_THAT(decisions.stops[0].reason, HasSubstr("preempted by sweep 2 of priority 5"));
  cluster.obey(decisions);
  EXPECT_THAT(cluster.running(), UnorderedElementsAre(1, 3));
  EXPECT_EQ(cluster.state(2), RunState::kQueued);
  EXPECT_THAT(cluster.reason(2), HasSubstr("preempted"));
  EXPECT_EQ(cluster.scheduler.runs().at(RunId{2}).failures, 0);
  cluster.end(cluster.current(3), AttemptState::kSucceeded);
  EXPECT_THAT(cluster.running(), UnorderedElementsAre(1, 2));
}

TEST(Preemption, StopsNoMoreThanWhatIsNeededAndNothingTwice) {
  Cluster cluster;
  cluster.with_workers(2, 4).submit({1, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_EQ(cluster.tell(with_priority(cluster.sweep({5, 4, 3}), 1)).stops.size(), 3u);
  EXPECT_THAT(cluster.tell(Tick{}).stops, IsEmpty());
  EXPECT_THAT(cluster.tell(with_priority(cluster.sweep({9}, {2, {}}), 1)).stops.size(), 2u);
  EXPECT_THAT(cluster.tell(WorkerHeard{WorkerId{1}}).stops, IsEmpty());
}

TEST(Preemption, EqualPrioritiesWait) {
  Cluster cluster;
  cluster.with_workers(1).tell(with_priority(cluster.sweep({1}), 3));
  EXPECT_THAT(cluster.tell(with_priority(cluster.sweep({9}), 3)).stops, IsEmpty());
}

TEST(Preemption, SlotsThatNoRunCouldUseAreLeftAlone) {
  Cluster cluster;
  cluster.with_workers(1, 2).submit({1, 1});
  EXPECT_THAT(cluster.tell(with_priority(cluster.sweep({9}, {1, {{"gpu", "h100"}}}), 3)).stops, IsEmpty());
  SweepSubmitted narrow = with_priority(cluster.sweep({9, 9}), 3);
  narrow.sweep.max_parallel = 1;
  EXPECT_EQ(cluster.tell(narrow).stops.size(), 1u);
}

TEST(FairShare, OwnersGetSlotsByTheirWeights) {
  Cluster cluster({kLease, {{"vision", 3}}});
  cluster.tell(of("vision", cluster.sweep(std::vector<double>(20, 1))));
  cluster.tell(of("speech", cluster.sweep(std::vector<double>(20, 1))));
  cluster.with_workers(1, 8);
  EXPECT_EQ(std::ranges::count_if(cluster.running(), [](int run) { return run <= 20; }), 6);
}

TEST(FairShare, WhoeverIsAloneGetsEverything) {
  Cluster cluster({kLease, {{"vision", 3}}});
  cluster.with_workers(1, 8).tell(of("speech", cluster.sweep(std::vector<double>(20, 1))));
  EXPECT_EQ(cluster.running().size(), 8u);
}

TEST(FairShare, SlotsThatBecomeFreeGoToWhoHasLeast) {
  Cluster cluster;
  cluster.with_workers(1, 4).tell(of("first", cluster.sweep(std::vector<double>(10, 1))));
  cluster.tell(of("second", cluster.sweep({1, 1, 1})));
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  cluster.end(cluster.current(2), AttemptState::kSucceeded);
  EXPECT_THAT(cluster.running(), UnorderedElementsAre(3, 4, 11, 12));
}

TEST(Order, CheapestFirstBringsTheFirstLawsEarly) {
  Cluster cluster;
  SweepSubmitted event = cluster.sweep({3e9, 1e9, 2e9});
  event.sweep.order = Order::kCheapestFirst;
  cluster.with_workers(2).tell(event);
  EXPECT_THAT(cluster.running(), ElementsAre(2, 3));
}

TEST(Pause, StopsWhatRunsWithACheckpointAndStartsNothing) {
  Cluster cluster;
  cluster.with_workers(1).submit({2, 1});
  cluster.obey(cluster.tell(SweepPaused{SweepId{1}, "by a person", false}));
  EXPECT_THAT(cluster.running(), IsEmpty());
  EXPECT_EQ(cluster.state(1), RunState::kQueued);
  cluster.tell(SweepResumed{SweepId{1}, {}});
  EXPECT_THAT(cluster.running(), ElementsAre(1));
}

TEST(Pause, MayLetRunningRunsFinish) {
  Cluster cluster;
  cluster.with_workers(1).submit({2, 1});
  const Decisions decisions = cluster.tell(SweepPaused{SweepId{1}, "by a person", true});
  EXPECT_THAT(decisions.stops, IsEmpty());
  EXPECT_EQ(decisions.sweeps.at(0).paused, "by a person");
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  EXPECT_THAT(cluster.running(), IsEmpty());
}

TEST(Pause, ARunThatAnotherSweepWantsGoesOn) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  SweepSubmitted second;
  second.sweep = {SweepId{++cluster.sweeps}, 0, {{"same", {}, {RunId{1}}}}};
  cluster.tell(second);
  EXPECT_THAT(cluster.tell(SweepPaused{SweepId{1}, "by a person", false}).stops, IsEmpty());
  EXPECT_EQ(cluster.scheduler.runs().at(RunId{1}).owner.sweep, SweepId{2});
}

TEST(Pause, CancellingAPausedSweepEndsIt) {
  Cluster cluster;
  cluster.submit({1});
  cluster.tell(SweepPaused{SweepId{1}, "by a person", false});
  cluster.tell(SweepCancelled{SweepId{1}});
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{1}), SweepState::kCancelled);
}

TEST(Limits, ReachingTheFlopsPausesTheSweepAndSaysSo) {
  Cluster cluster;
  SweepSubmitted event = cluster.sweep({1e9, 1e9, 1e9});
  event.sweep.limits.flops = 1.5e9;
  cluster.with_workers(1, 2).tell(event);
  EXPECT_THAT(cluster.tell(AttemptReported{cluster.current(1), 0.7e9}).sweeps, IsEmpty());
  const Decisions decisions = cluster.tell(AttemptReported{cluster.current(2), 0.8e9});
  ASSERT_EQ(decisions.sweeps.size(), 1u);
  EXPECT_EQ(decisions.sweeps[0].paused, "limits.flops: 1.5e+09 of 1.5e+09 FLOPs are spent");
  EXPECT_EQ(decisions.stops.size(), 2u);
}

TEST(Limits, SlotTimeIsWatchedWithoutAnyReport) {
  Cluster cluster;
  SweepSubmitted event = cluster.sweep({1, 1}, {2, {}});
  event.sweep.limits.slot_time = 40s;
  cluster.with_workers(1, 4).tell(event);
  EXPECT_EQ(cluster.scheduler.next_due(), cluster.now + 10s + 1ms) << "two runs of two slots";
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(cluster.scheduler.paused(SweepId{1}));
    cluster.tell(WorkerHeard{WorkerId{1}});
    cluster.pass(1s);
  }
  EXPECT_TRUE(cluster.scheduler.paused(SweepId{1}));
}

TEST(Limits, OnlyALargerLimitResumes) {
  Cluster cluster;
  SweepSubmitted event = cluster.sweep({1e9});
  event.sweep.limits.flops = 1e8;
  cluster.with_workers(1).tell(event);
  cluster.obey(cluster.tell(AttemptReported{cluster.current(1), 2e8}));
  EXPECT_THAT(std::string(cluster.scheduler.may_resume(SweepId{1}, {1.5e8, {}}).message()),
              HasSubstr("limits.flops: 2e+08 of 1.5e+08 FLOPs are spent; raise the limit"));
  cluster.tell(SweepResumed{SweepId{1}, {1e10, {}}});
  EXPECT_THAT(cluster.running(), ElementsAre(1));
}

// Runs of one budget; each has reported its loss at half of it.
class Stopping : public testing::Test {
 protected:
  Stopping() {
    SweepSubmitted event = cluster.sweep(std::vector<double>(5, 1e9));
    event.sweep.stages[0].early_stopping = {"loss", 10.0, 0.5};
    cluster.with_workers(1, 5).tell(event);
  }
  const Decisions& report(int run, double share, double loss) {
    return cluster.tell(AttemptReported{cluster.current(run), share * 1e9, share, loss, loss});
  }
  Cluster cluster;
};

TEST_F(Stopping, ADivergedRunFailsForGood) {
  cluster.obey(report(1, 0.1, 11));
  EXPECT_EQ(cluster.state(1), RunState::kFailed);
  EXPECT_EQ(cluster.reason(1), "diverged: loss 11 is above 10");
}

TEST_F(Stopping, AHopelessRunIsCancelledAndTheSweepSucceedsWithoutIt) {
  for (const int run : {1, 2, 3}) EXPECT_THAT(report(run, 0.5, run).stops, IsEmpty());
  EXPECT_THAT(report(4, 0.5, 1.9).stops, IsEmpty()) << "no worse than the median of 1, 2 and 3";
  cluster.obey(report(5, 0.6, 2.5));
  EXPECT_EQ(cluster.state(5), RunState::kCancelled);
  EXPECT_THAT(cluster.reason(5), HasSubstr("stopped early: loss 2.5 is worse than 1.95, the median of 4 runs at 50 %"));
  for (const int run : {1, 2, 3, 4}) cluster.end(cluster.current(run), AttemptState::kSucceeded);
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{1}), SweepState::kSucceeded);
}

TEST_F(Stopping, ARunIsComparedByItsBestValueOnceAndOnlyWithEnoughOthers) {
  EXPECT_THAT(report(1, 0.5, 9).stops, IsEmpty()) << "nobody to compare it with";
  for (const int run : {2, 3, 4}) report(run, 0.5, 2);
  EXPECT_THAT(report(1, 0.9, 9).stops, IsEmpty()) << "it was compared at 50 %";
  report(5, 0.2, 1);
  EXPECT_THAT(report(5, 0.5, 9).stops, IsEmpty()) << "it has been at 1";
}

TEST_F(Stopping, AHopelessRunIsNotTakenUpByTheSameSweepAgainUnlessAPersonAsks) {
  for (const int run : {1, 2, 3, 4}) report(run, 0.5, 1);
  cluster.obey(report(5, 0.5, 2));
  SweepSubmitted again;
  again.sweep = {SweepId{++cluster.sweeps}, 0, {{"same", {}, {RunId{5}}}}};
  cluster.tell(again);
  EXPECT_EQ(cluster.state(5), RunState::kCancelled);
  EXPECT_EQ(cluster.scheduler.sweep_state(SweepId{2}), SweepState::kSucceeded);
  cluster.tell(RunRetried{RunId{5}});
  EXPECT_EQ(cluster.state(5), RunState::kRunning);
}

TEST(Restart, PausesLimitsAndStopsAreRemembered) {
  Cluster before;
  SweepSubmitted event = before.sweep({1e9});
  Snapshot snapshot;
  snapshot.sweeps.push_back({event.sweep, false, SweepState::kRunning, "by a person", 30s});
  snapshot.sweeps[0].plan.limits.slot_time = 1h;
  snapshot.runs.push_back({event.new_runs[0], RunState::kRunning, "", 0, 1, {SweepId{1}, 0}, 5e8, false});
  snapshot.workers.push_back({WorkerId{1}, WorkerState::kReady, {}, ""});
  snapshot.attempts.push_back({AttemptId{1}, RunId{1}, WorkerId{1}, AttemptState::kRunning, 1, SweepId{1}, "paused"});
  snapshot.last_attempt = AttemptId{1};
  Cluster cluster;
  cluster.scheduler.restore(snapshot, cluster.now);
  EXPECT_TRUE(cluster.scheduler.paused(SweepId{1}));
  EXPECT_EQ(cluster.scheduler.spent(SweepId{1}).flops, 5e8);
  EXPECT_EQ(cluster.scheduler.spent(SweepId{1}).slot_time, 30s);
  EXPECT_EQ(cluster.tell(WorkerJoined{WorkerId{1}, {}, {AttemptId{1}}}).stops.size(), 1u) << "it may have missed it";
}

}  // namespace
}  // namespace scalelaw::server
