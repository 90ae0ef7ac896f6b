// The whole server over gRPC: what clients and workers can rely on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/service_fixture.h"

namespace scalelaw::server {
namespace {

using testing::HasSubstr;

const char* const kOneRun =
    "stages { name: 'one' command: 'true' budget { steps: [10] } retries { max: 1 backoff_seconds: 0 } }";
const char* const kScorerThenLadder =
    "stages { name: 'scorer' command: 'score' budget { steps: [10] } retries { max: 0 } } "
    "stages { name: 'ladder' command: 'true' budget { steps: [10] } needs { key: 'scorer' value: 'scorer' } }";

class Service : public ServiceFixture {};

class ShortLease : public ServiceFixture {
 protected:
  ShortLease() { lease = 600ms; }
};

TEST_F(Service, ASweepIsTrainedToItsEndAndObserved) {
  auto trainer = worker();
  submit("sweep", kTwoRuns);
  trainer->train(trainer->next_assignment(), 0.25);
  EXPECT_TRUE(trainer->next().has_update_ack());
  trainer->train(trainer->next_assignment(), 0.75);
  EXPECT_TRUE(trainer->next().has_update_ack());
  EXPECT_EQ(sweep("sweep").state(), v1::SWEEP_STATE_SUCCEEDED);
  EXPECT_EQ(sweep("sweep").runs().succeeded(), 2);
  EXPECT_EQ(run(1).latest().at("loss"), 0.25);
  EXPECT_EQ(store->observations("study", "loss")->size(), 2u);
}

TEST_F(Service, AnEndWaitsForTheRecordsBeforeIt) {
  auto trainer = worker();
  submit("sweep", kOneRun);
  const v1::Assignment assignment = trainer->next_assignment();
  trainer->update(assignment.attempt_id(), v1::ATTEMPT_STATE_SUCCEEDED, /*events_end=*/50);
  trainer->deliver(assignment.attempt_id(), 0, 40, "records { metrics { step: 1 values { key: 'loss' value: 1 } } }");
  EXPECT_EQ(run(1).state(), v1::RUN_STATE_RUNNING);
  trainer->deliver(assignment.attempt_id(), 40, 50, "records { metrics { step: 2 values { key: 'loss' value: 2 } } }");
  EXPECT_TRUE(trainer->next().has_update_ack());
  EXPECT_EQ(run(1).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(run(1).latest().at("loss"), 2);
}

TEST_F(Service, ArtifactsOfNeededStagesArriveAsInputs) {
  auto trainer = worker();
  submit("sweep", kScorerThenLadder);
  trainer->train(trainer->next_assignment(), 0.5, "scorer");
  EXPECT_TRUE(trainer->next().has_update_ack());
  EXPECT_EQ(trainer->next_assignment().inputs().at("scorer"), "/scorer.pt");
}

TEST_F(Service, AMissingArtifactFailsTheRunThatNeedsIt) {
  auto trainer = worker();
  submit("sweep", kScorerThenLadder);
  trainer->train(trainer->next_assignment());
  ASSERT_TRUE(eventually([&] { return run(2).state() == v1::RUN_STATE_FAILED; }));
  EXPECT_THAT(run(2).reason(), HasSubstr("no run of stage \"scorer\" made the artifact \"scorer\""));
}

TEST_F(Service, RunsAreSkippedWhenWhatTheyNeedFails) {
  auto trainer = worker();
  submit("sweep", kScorerThenLadder);
  trainer->update(trainer->next_assignment().attempt_id(), v1::ATTEMPT_STATE_FAILED, 0, 1);
  ASSERT_TRUE(eventually([&] { return sweep("sweep").state() == v1::SWEEP_STATE_FAILED; }));
  EXPECT_EQ(run(2).state(), v1::RUN_STATE_SKIPPED);
  EXPECT_THAT(run(2).reason(), HasSubstr("exit 1"));
}

TEST_F(Service, AFailedRunIsTriedAgainUntilItsRetriesAreUsedUp) {
  auto trainer = worker();
  submit("sweep", kOneRun);
  for (int attempt = 1; attempt <= 2; ++attempt) {
    const v1::Assignment assignment = trainer->next_assignment();
    EXPECT_EQ(assignment.attempt_number(), attempt);
    trainer->update(assignment.attempt_id(), v1::ATTEMPT_STATE_FAILED, 0, 3);
    EXPECT_TRUE(trainer->next().has_update_ack());
  }
  EXPECT_EQ(run(1).state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(run(1).exit_code(), 3);
  EXPECT_EQ(run(1).attempts(), 2);
}

TEST_F(Service, ATrainingThatTheStudyHoldsIsNotRepeated) {
  auto trainer = worker();
  submit("first", kOneRun);
  trainer->train(trainer->next_assignment());
  EXPECT_TRUE(trainer->next().has_update_ack());
  const v1::SubmitSweepResponse again = submit("second", kOneRun);
  EXPECT_EQ(again.reused(), 1);
  EXPECT_EQ(again.runs(0).id(), 1);
  EXPECT_EQ(again.sweep().state(), v1::SWEEP_STATE_SUCCEEDED);
}

TEST_F(Service, TheSameIdempotencyKeyGivesTheSameSweepEvenAfterARestart) {
  const int32_t first = submit("sweep", kTwoRuns, "key").sweep().id();
  EXPECT_EQ(submit("sweep", kTwoRuns, "key").sweep().id(), first);
  restart();
  EXPECT_EQ(submit("sweep", kTwoRuns, "key").sweep().id(), first);
  EXPECT_EQ(store->sweeps("")->size(), 1u);
}

TEST_F(Service, ADryRunStoresNothing) {
  const v1::SubmitSweepResponse response = submit("sweep", kTwoRuns, "", /*dry_run=*/true);
  EXPECT_EQ(response.runs_size(), 2);
  EXPECT_EQ(response.runs(1).name(), "steps=10 seed=2");
  EXPECT_TRUE(store->sweeps("")->empty());
}

TEST_F(Service, AWrongSweepIsRefusedByFieldAndNothingIsStored) {
  v1::SubmitSweepRequest request;
  request.mutable_spec()->set_name("sweep");
  request.mutable_spec()->set_study("study");
  request.mutable_spec()->add_stages()->set_family("gan");
  v1::SubmitSweepResponse response;
  const grpc::Status status = submit(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("stages[0]"));
  EXPECT_TRUE(store->sweeps("")->empty());
}

TEST_F(Service, UnknownThingsAreNotFoundByName) {
  grpc::ClientContext context;
  v1::GetSweepRequest request;
  request.set_sweep("nobody");
  v1::Sweep response;
  const grpc::Status status = sweeps->Get(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("nobody"));
}

TEST_F(Service, CancelStopsWhatRunsAndDropsWhatIsQueued) {
  auto trainer = worker();
  submit("sweep", kTwoRuns);
  const v1::Assignment assignment = trainer->next_assignment();
  EXPECT_EQ(cancel("sweep").runs().cancelled(), 1);
  const v1::CoordinatorMessage stop = trainer->next();
  EXPECT_EQ(stop.stop().attempt_id(), assignment.attempt_id());
  EXPECT_FALSE(stop.stop().fenced());
  trainer->update(assignment.attempt_id(), v1::ATTEMPT_STATE_CANCELLED);
  EXPECT_TRUE(trainer->next().has_update_ack());
  EXPECT_EQ(sweep("sweep").state(), v1::SWEEP_STATE_CANCELLED);
}

TEST_F(Service, ARestartContinuesWhereItStopped) {
  auto trainer = worker();
  submit("sweep", kTwoRuns);
  const v1::Assignment assignment = trainer->next_assignment();
  trainer->update(assignment.attempt_id(), v1::ATTEMPT_STATE_RUNNING);
  trainer->deliver(assignment.attempt_id(), 0, 100, "records { metrics { step: 1 values { key: 'loss' value: 1 } } }");
  restart();
  trainer = worker("w1", 1, {assignment.attempt_id()});
  ASSERT_EQ(trainer->welcome.watermarks_size(), 1);
  EXPECT_EQ(trainer->welcome.watermarks(0).events_offset(), 100);
  trainer->update(assignment.attempt_id(), v1::ATTEMPT_STATE_SUCCEEDED, 100);
  EXPECT_TRUE(trainer->next().has_update_ack());
  EXPECT_EQ(trainer->next_assignment().run_id(), 2);
  EXPECT_EQ(run(1).attempts(), 1);
}

TEST_F(Service, AnEndWhoseAcknowledgementWasLostIsAcknowledgedAgain) {
  auto trainer = worker();
  submit("sweep", kOneRun);
  const int64_t attempt = trainer->next_assignment().attempt_id();
  trainer->update(attempt, v1::ATTEMPT_STATE_SUCCEEDED);
  EXPECT_TRUE(trainer->next().has_update_ack());
  restart();
  trainer = worker("w1", 1, {attempt});
  EXPECT_EQ(trainer->welcome.fenced_attempt_ids_size(), 0);
  EXPECT_EQ(trainer->next().update_ack().attempt_id(), attempt);
}

TEST_F(Service, AWorkerThatRestartsWithoutItsAttemptGetsANewOne) {
  auto trainer = worker();
  submit("sweep", kOneRun);
  trainer->next_assignment();
  trainer = worker();
  EXPECT_EQ(trainer->next_assignment().attempt_number(), 2);
}

TEST_F(Service, ANewerSessionOfAWorkerTakesOver) {
  auto older = worker();
  auto newer = worker();
  EXPECT_EQ(older->next().message_case(), v1::CoordinatorMessage::MESSAGE_NOT_SET);
  EXPECT_EQ(older->session_status().error_code(), grpc::StatusCode::ABORTED);
  submit("sweep", kOneRun);
  EXPECT_TRUE(newer->next().has_assign());
}

TEST_F(Service, ASessionMustBeginWithHello) {
  grpc::ClientContext context;
  auto session = workers->Session(&context);
  v1::WorkerMessage message;
  message.mutable_heartbeat();
  session->Write(message);
  EXPECT_FALSE(session->Read(std::make_unique<v1::CoordinatorMessage>().get()));
  EXPECT_EQ(session->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ShortLease, ASilentWorkerLosesItsRunAndIsFencedWhenItComesBack) {
  auto silent = worker("silent");
  submit("sweep", kOneRun);
  const v1::Assignment first = silent->next_assignment();
  silent->deliver(first.attempt_id(), 0, 10, "records { metrics { step: 1 values { key: 'loss' value: 1 } } }");
  // It is told that it is given up, and its session ends.
  EXPECT_TRUE(silent->next().stop().fenced());
  EXPECT_EQ(silent->next().message_case(), v1::CoordinatorMessage::MESSAGE_NOT_SET);
  EXPECT_TRUE(
      silent->deliver(first.attempt_id(), 10, 20, "records { metrics { step: 9 values { key: 'loss' value: 9 } } }")
          .fenced());

  auto other = worker("other");
  const v1::Assignment second = other->next_assignment();
  EXPECT_EQ(second.run_id(), first.run_id());
  EXPECT_EQ(second.attempt_number(), 2);
  auto back = worker("silent", 1, {first.attempt_id()});
  ASSERT_EQ(back->welcome.fenced_attempt_ids_size(), 1);
  EXPECT_EQ(back->welcome.fenced_attempt_ids(0), first.attempt_id());
  EXPECT_THAT(run(1).latest(), testing::Not(testing::Contains(testing::Pair("loss", 9))));
}

TEST_F(Service, AQueuedRunSaysWhyItDoesNotStart) {
  submit("sweep", "stages { name: 'one' command: 'true' budget { steps: [10] } resources { slots: 4 } }");
  EXPECT_THAT(run(1).reason(), HasSubstr("no worker is connected"));
  auto trainer = worker("w1", 2);
  EXPECT_THAT(run(1).reason(), HasSubstr("no connected worker has 4 slots"));
}

TEST_F(Service, WorkersAreListedWithWhatTheyRun) {
  auto trainer = worker("w1", 3);
  submit("sweep", kTwoRuns);
  trainer->next_assignment();
  trainer->next_assignment();
  const std::vector<v1::Worker> list = list_workers();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].state(), "ready");
  EXPECT_EQ(list[0].slots_used(), 2u);
  EXPECT_THAT(list[0].run_ids(), testing::ElementsAre(1, 2));
}

TEST_F(Service, WatchSendsSnapshotsUntilTheSweepHasEnded) {
  auto trainer = worker();
  submit("sweep", kOneRun);
  grpc::ClientContext context;
  v1::WatchSweepRequest request;
  request.set_sweep("sweep");
  request.set_updates_per_second(20);
  auto stream = sweeps->Watch(&context, request);
  v1::SweepSnapshot snapshot;
  ASSERT_TRUE(stream->Read(&snapshot));
  EXPECT_EQ(snapshot.sweep().state(), v1::SWEEP_STATE_RUNNING);
  trainer->train(trainer->next_assignment());
  while (stream->Read(&snapshot)) continue;
  EXPECT_EQ(snapshot.sweep().state(), v1::SWEEP_STATE_SUCCEEDED);
  EXPECT_EQ(snapshot.runs(0).progress(), 1);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(Service, LogsFollowARunToItsEnd) {
  auto trainer = worker();
  submit("sweep", kOneRun);
  const v1::Assignment assignment = trainer->next_assignment();
  grpc::ClientContext context;
  v1::GetLogsRequest request;
  request.set_run_id(1);
  request.set_follow(true);
  auto stream = runs->Logs(&context, request);
  trainer->deliver(assignment.attempt_id(), 0, 10, "records { output: 'first\\n' }");
  v1::LogChunk chunk;
  ASSERT_TRUE(stream->Read(&chunk));
  EXPECT_EQ(chunk.text(), "first\n");
  trainer->deliver(assignment.attempt_id(), 10, 20, "records { output: 'last\\n' }");
  trainer->update(assignment.attempt_id(), v1::ATTEMPT_STATE_SUCCEEDED, 20);
  ASSERT_TRUE(stream->Read(&chunk));
  EXPECT_EQ(chunk.text(), "last\n");
  EXPECT_FALSE(stream->Read(&chunk));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(Service, ATailOfTheLogHasTheNewestLines) {
  auto trainer = worker();
  submit("sweep", kOneRun);
  const v1::Assignment assignment = trainer->next_assignment();
  trainer->deliver(assignment.attempt_id(), 0, 10, "records { output: 'a\\nb\\n' }");
  trainer->deliver(assignment.attempt_id(), 10, 20, "records { output: 'c\\nd\\n' }");
  grpc::ClientContext context;
  v1::GetLogsRequest request;
  request.set_run_id(1);
  request.set_tail_lines(3);
  auto stream = runs->Logs(&context, request);
  std::string text;
  for (v1::LogChunk chunk; stream->Read(&chunk);) text += chunk.text();
  EXPECT_EQ(text, "b\nc\nd\n");
}

TEST_F(Service, RetryQueuesAFailedRunAgainAndRefusesOthers) {
  auto trainer = worker();
  submit("sweep", kOneRun);
  trainer->update(trainer->next_assignment().attempt_id(), v1::ATTEMPT_STATE_FAILED, 0, 65, /*permanent=*/true);
  EXPECT_TRUE(trainer->next().has_update_ack());
  v1::RetryRunRequest request;
  request.set_run_id(1);
  v1::Run response;
  {
    grpc::ClientContext context;
    const grpc::Status status = runs->Retry(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  EXPECT_EQ(trainer->next_assignment().attempt_number(), 2);
  grpc::ClientContext context;
  EXPECT_EQ(runs->Retry(&context, request, &response).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST(RpcServer, APortInUseIsNamed) {
  const auto first = RpcServer::start({"127.0.0.1", 0}, {});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto address = parse_listen_address((*first)->address());
  const auto second = RpcServer::start(*address, {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr((*first)->address()));
}

TEST(ListenAddress, IsHostAndPort) {
  for (const std::string good : {"127.0.0.1:7070", "localhost:0", "[::1]:80", "0.0.0.0:7070", "example.org:80"})
    EXPECT_TRUE(parse_listen_address(good).ok());
  for (const std::string bad : {"127.0.0.1", ":80", "127.0.0.1:x", "127.0.0.1:70000", ""})
    EXPECT_EQ(parse_listen_address(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
}

TEST(ListenAddress, OnlyLoopbackIsServedWithoutTlsAndTokens) {
  for (const std::string mine : {"127.0.0.1:7070", "127.8.9.10:1", "localhost:0", "[::1]:80"})
    EXPECT_TRUE(check_exposure(*parse_listen_address(mine), {}).ok()) << mine;
  for (const std::string open : {"0.0.0.0:7070", "10.0.0.1:1", "127.example.org:80", "[::]:1"}) {
    const ListenAddress address = *parse_listen_address(open);
    EXPECT_EQ(check_exposure(address, {}).code(), absl::StatusCode::kFailedPrecondition) << open;
    Guard guard;
    guard.tls.emplace();
    EXPECT_EQ(check_exposure(address, guard).code(), absl::StatusCode::kFailedPrecondition) << open;
    guard.tls->client_authorities = "some";
    EXPECT_TRUE(check_exposure(address, guard).ok()) << open;
    EXPECT_TRUE(check_exposure(address, {}, /*insecure=*/true).ok()) << open;
  }
}

}  // namespace
}  // namespace scalelaw::server
