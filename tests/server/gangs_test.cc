// Where runs go: gangs, what is kept free for them, GPUs, and workers that fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/cluster.h"

namespace scalelaw::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

Requirements gang(int workers, int slots) {
  return {slots, {}, workers};
}
std::vector<int> workers_of(const Cluster& cluster, int run) {
  std::vector<int> workers;
  for (const AttemptId id : cluster.scheduler.runs().at(RunId{run}).current) {
    workers.push_back(cluster.scheduler.attempts().at(id).worker.value);
  }
  return workers;
}

TEST(Gang, StartsWholeOnSeveralWorkers) {
  Cluster cluster;
  const Decisions decisions = cluster.with_workers(3, 4).submit({1}, gang(3, 4));
  ASSERT_EQ(decisions.assignments.size(), 3u);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(decisions.assignments[static_cast<size_t>(rank)].rank, rank);
    EXPECT_EQ(decisions.assignments[static_cast<size_t>(rank)].number, 1);
  }
  EXPECT_THAT(workers_of(cluster, 1), UnorderedElementsAre(1, 2, 3));
}

TEST(Gang, WaitsUntilAllOfItCanStart) {
  Cluster cluster;
  cluster.with_workers(2, 2).submit({9, 8, 7});
  EXPECT_THAT(cluster.submit({1}, gang(2, 2)).assignments, IsEmpty());
  for (const int run : {1, 2, 3}) {
    EXPECT_THAT(workers_of(cluster, 4), IsEmpty());
    cluster.end(cluster.current(run), AttemptState::kSucceeded);
  }
  EXPECT_THAT(workers_of(cluster, 4), UnorderedElementsAre(1, 2));
}

TEST(Gang, SucceedsWithItsLastMember) {
  Cluster cluster;
  cluster.with_workers(2).submit({1}, gang(2, 1));
  cluster.end(AttemptId{1}, AttemptState::kSucceeded);
  EXPECT_EQ(cluster.state(1), RunState::kRunning);
  cluster.end(AttemptId{2}, AttemptState::kSucceeded);
  EXPECT_EQ(cluster.state(1), RunState::kSucceeded);
}

TEST(Gang, IsStoppedAndTriedAgainAsAWholeWhenAMemberIsLost) {
  Cluster cluster;
  cluster.with_workers(3).submit({1}, gang(2, 1), {0, 1s});
  const Decisions decisions = cluster.end(AttemptId{2}, AttemptState::kLost);
  EXPECT_THAT(decisions.assignments, IsEmpty()) << "a member still runs";
  ASSERT_EQ(decisions.stops.size(), 1u);
  EXPECT_EQ(decisions.stops[0].attempt, AttemptId{1});
  cluster.obey(decisions);
  EXPECT_THAT(cluster.running(), ElementsAre(1, 1));
  EXPECT_EQ(cluster.scheduler.runs().at(RunId{1}).failures, 0);
}

TEST(Gang, TheFirstBadEndIsTheRuns) {
  Cluster cluster;
  cluster.with_workers(2).submit({1}, gang(2, 1), {0, 1s});
  cluster.obey(cluster.tell(AttemptEnded{AttemptId{2}, AttemptState::kFailed, 1, "CUDA error", false}));
  EXPECT_EQ(cluster.state(1), RunState::kFailed);
  EXPECT_EQ(cluster.reason(1), "CUDA error");
}

TEST(Gang, PreemptsOnEveryWorkerThatItNeeds) {
  Cluster cluster;
  cluster.with_workers(2, 2).submit({1, 1, 1, 1});
  SweepSubmitted event = cluster.sweep({1}, gang(2, 1));
  event.sweep.priority = 1;
  const Decisions decisions = cluster.tell(event);
  ASSERT_EQ(decisions.stops.size(), 2u);
  EXPECT_NE(decisions.stops[0].worker, decisions.stops[1].worker);
}

TEST(Gang, IsPreemptedAsAWhole) {
  Cluster cluster;
  cluster.with_workers(2).submit({1}, gang(2, 1));
  SweepSubmitted event = cluster.sweep({1});
  event.sweep.priority = 1;
  const Decisions decisions = cluster.tell(event);
  EXPECT_EQ(decisions.stops.size(), 2u);
  cluster.obey(decisions);
  EXPECT_THAT(cluster.running(), ElementsAre(2));
}

TEST(Gang, IsOneAttemptWhereTheWorkerPlacesItItself) {
  Cluster cluster;
  Offer cluster_of_nodes{8, {}};
  cluster_of_nodes.places_gangs = true;
  const Decisions decisions = cluster.with_worker(cluster_of_nodes).submit({1}, gang(2, 4));
  ASSERT_EQ(decisions.assignments.size(), 1u);
  EXPECT_EQ(decisions.assignments[0].slots, 8);
  EXPECT_EQ(cluster.scheduler.workers().at(WorkerId{1}).used, 8);
}

TEST(Gang, SaysWhatItLacks) {
  Cluster cluster;
  cluster.with_workers(1, 4).submit({1}, gang(2, 4));
  EXPECT_THAT(placement_obstacle(gang(2, 4), cluster.scheduler.workers()),
              HasSubstr("1 of the 2 workers that it needs have 4 slots"));
}

TEST(Backfill, FillsWhatTheWaitingGangDoesNotNeedAndNothingElse) {
  Cluster cluster;
  cluster.with_workers(3, 2).submit({9, 8, 7, 6});
  SweepSubmitted event = cluster.sweep({}, {});
  cluster.add_run(event, 0, 100, gang(2, 2));
  for (int i = 0; i < 10; ++i) cluster.add_run(event, 0, 1);
  // Two workers full, one idle: the gang takes that and waits for another.
  cluster.tell(event);
  EXPECT_THAT(workers_of(cluster, 5), IsEmpty());
  EXPECT_EQ(cluster.running().size(), 4u) << "the idle worker is the gang's";
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  EXPECT_EQ(cluster.running().size(), 3u) << "and so is the slot that has become free";
  cluster.end(cluster.current(2), AttemptState::kSucceeded);
  EXPECT_EQ(workers_of(cluster, 5).size(), 2u);
}

TEST(Backfill, UsesTheSlotsBesideTheHeldOnes) {
  Cluster cluster;
  cluster.with_workers(1, 4).submit({9, 8, 7, 6});
  cluster.submit({1}, {2, {}});
  cluster.submit({1, 1}, {1, {}});
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  EXPECT_EQ(cluster.state(5), RunState::kQueued);
  EXPECT_EQ(cluster.running().size(), 3u);
  cluster.end(cluster.current(2), AttemptState::kSucceeded);
  EXPECT_EQ(cluster.state(5), RunState::kRunning);
  cluster.end(cluster.current(3), AttemptState::kSucceeded);
  EXPECT_EQ(cluster.state(6), RunState::kRunning);
}

TEST(Gpu, ModelAndMemoryMustSuffice) {
  Cluster cluster;
  const int64_t gib = int64_t{1} << 30;
  cluster.with_worker({1, {}, "NVIDIA A100-SXM4-40GB", 40 * gib})
      .with_worker({1, {}, "NVIDIA H100 80GB HBM3", 80 * gib});
  cluster.submit({1}, {1, {}, 1, "h100"});
  EXPECT_THAT(workers_of(cluster, 1), ElementsAre(2));
  cluster.submit({1}, {1, {}, 1, "", 64 * gib});
  EXPECT_EQ(cluster.state(2), RunState::kQueued);
  EXPECT_THAT(placement_obstacle({1, {}, 1, "b200", 141 * gib}, cluster.scheduler.workers()),
              HasSubstr("1 slot, GPU b200, 141 GiB per GPU"));
  cluster.submit({1}, {1, {}, 1, "a100", 40 * gib});
  EXPECT_THAT(workers_of(cluster, 3), ElementsAre(1));
}

TEST(Failures, OfTheMachineAreTriedAgainOnAnotherWorker) {
  Cluster cluster;
  cluster.with_workers(2).submit({1});
  const int first = workers_of(cluster, 1).at(0);
  cluster.tell(AttemptEnded{cluster.current(1), AttemptState::kFailed, 1, "disk full", false, true});
  cluster.pass(kInfrastructurePause);
  EXPECT_NE(workers_of(cluster, 1).at(0), first);
}

TEST(Failures, OfTheTrainerAreTriedOnceMoreWhereItsCheckpointIsAndThenElsewhere) {
  Cluster cluster;
  cluster.with_workers(2).submit({1}, {}, {2, 0ms});
  const int first = workers_of(cluster, 1).at(0);
  cluster.end(cluster.current(1), AttemptState::kFailed);
  cluster.tell(Tick{});
  EXPECT_EQ(workers_of(cluster, 1).at(0), first);
  cluster.end(cluster.current(1), AttemptState::kFailed);
  cluster.tell(Tick{});
  EXPECT_NE(workers_of(cluster, 1).at(0), first);
}

TEST(Preempted, ARunComesBackToItsCheckpointIfThereIsRoom) {
  Cluster cluster;
  cluster.with_workers(2, 2).submit({4, 3, 2, 1});
  SweepSubmitted event = cluster.sweep({1});
  event.sweep.priority = 1;
  const Decisions decisions = cluster.tell(event);
  const int victim = cluster.scheduler.attempts().at(decisions.stops.at(0).attempt).run.value;
  const int place = workers_of(cluster, victim).at(0);
  cluster.obey(decisions);
  cluster.end(cluster.current(5), AttemptState::kSucceeded);
  EXPECT_THAT(workers_of(cluster, victim), ElementsAre(place));
}

TEST(Failures, AWorkerWhoseFailuresPileUpIsDrainedWithTheReason) {
  Cluster cluster;
  cluster.with_workers(2, 4).submit({1, 1, 1});
  for (const int run : {1, 2, 3}) {
    ASSERT_THAT(workers_of(cluster, run), ElementsAre(1));
    cluster.tell(AttemptEnded{cluster.current(run), AttemptState::kFailed, 1, "disk full", false, true});
  }
  const Scheduler::Worker& worker = cluster.scheduler.workers().at(WorkerId{1});
  EXPECT_EQ(worker.state, WorkerState::kDraining);
  EXPECT_THAT(worker.drain_reason, HasSubstr("3 failures without a success between them, the last: disk full"));
  cluster.pass(kInfrastructurePause);
  for (const int run : {1, 2, 3}) EXPECT_THAT(workers_of(cluster, run), ElementsAre(2));
  cluster.tell(WorkerJoined{WorkerId{1}, {4, {}}, {}});
  EXPECT_EQ(worker.state, WorkerState::kDraining) << "a new session does not mend it";
  cluster.tell(WorkerUndrained{WorkerId{1}});
  EXPECT_EQ(worker.state, WorkerState::kReady);
}

TEST(Failures, TrainersAreAWorkersFaultOnlyIfTheySucceedElsewhere) {
  Cluster cluster;
  cluster.with_workers(2, 4).submit({1, 1, 1}, {}, {2, 0ms});
  for (int attempt = 1; attempt <= 2; ++attempt) {
    for (const int run : {1, 2, 3}) cluster.end(cluster.current(run), AttemptState::kFailed);
    cluster.tell(Tick{});
  }
  EXPECT_EQ(cluster.scheduler.workers().at(WorkerId{1}).state, WorkerState::kReady);
  for (const int run : {1, 2, 3}) {
    ASSERT_THAT(workers_of(cluster, run), ElementsAre(2));
    cluster.end(cluster.current(run), AttemptState::kSucceeded);
  }
  EXPECT_THAT(cluster.scheduler.workers().at(WorkerId{1}).drain_reason, HasSubstr("succeeded elsewhere"));
}

TEST(Failures, TheLastWorkerIsNotDrained) {
  Cluster cluster;
  cluster.with_workers(1).submit({1});
  for (int i = 0; i < 5; ++i) {
    cluster.tell(AttemptEnded{cluster.current(1), AttemptState::kFailed, 1, "disk full", false, true});
    cluster.tell(WorkerHeard{WorkerId{1}});
    cluster.pass(kInfrastructurePause);
  }
  EXPECT_EQ(cluster.state(1), RunState::kRunning);
}

TEST(Drain, ByAPersonLetsRunningRunsGoOn) {
  Cluster cluster;
  cluster.with_workers(1).submit({2, 1});
  const Decisions decisions = cluster.tell(WorkerDrained{WorkerId{1}, "new driver"});
  EXPECT_THAT(decisions.stops, IsEmpty());
  EXPECT_EQ(decisions.workers.at(0).drain_reason, "new driver");
  cluster.end(cluster.current(1), AttemptState::kSucceeded);
  EXPECT_THAT(cluster.running(), IsEmpty());
  cluster.tell(WorkerUndrained{WorkerId{1}});
  EXPECT_THAT(cluster.running(), ElementsAre(2));
}

}  // namespace
}  // namespace scalelaw::server
