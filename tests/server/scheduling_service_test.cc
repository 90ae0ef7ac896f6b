// Priorities, limits, pauses, gangs and draining over gRPC, and after a restart of the server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/service_fixture.h"

namespace scalelaw::server {
namespace {

using testing::HasSubstr;

class SchedulingService : public ServiceFixture {
 protected:
  template <class Request, class Call>
  auto ask(Call call, const Request& request, v1::Sweep* answer = nullptr) {
    grpc::ClientContext context;
    v1::Sweep ignored;
    return (sweeps.get()->*call)(&context, request, answer != nullptr ? answer : &ignored);
  }
  grpc::Status pause(const std::string& name, v1::Sweep* answer = nullptr) {
    v1::PauseSweepRequest request;
    request.set_sweep(name);
    return ask(&v1::Sweeps::Stub::Pause, request, answer);
  }
  grpc::Status resume(const std::string& name, std::optional<double> flops = std::nullopt) {
    v1::ResumeSweepRequest request;
    request.set_sweep(name);
    if (flops) request.set_limit_flops(*flops);
    return ask(&v1::Sweeps::Stub::Resume, request);
  }
  static void report(PlayedWorker& trainer, const v1::Assignment& assignment, double flops) {
    trainer.update(assignment.attempt_id(), v1::ATTEMPT_STATE_RUNNING);
    trainer.deliver(assignment.attempt_id(), 0, 10,
                    "records { metrics { step: 1 flops: " + std::to_string(flops) + " } }");
  }
};

TEST_F(SchedulingService, APausedSweepSaysWhyAndGoesOnAfterARestart) {
  submit("sweep", std::string("priority: 7 owner: 'vision' ") + kTwoRuns);
  v1::Sweep paused;
  ASSERT_TRUE(pause("sweep", &paused).ok());
  EXPECT_EQ(paused.state(), v1::SWEEP_STATE_PAUSED);
  EXPECT_EQ(paused.reason(), "by a person");
  restart();
  EXPECT_EQ(sweep("sweep").state(), v1::SWEEP_STATE_PAUSED);
  EXPECT_EQ(sweep("sweep").priority(), 7);
  EXPECT_EQ(sweep("sweep").owner(), "vision");
  auto trainer = worker("w1", 2);
  ASSERT_TRUE(resume("sweep").ok());
  EXPECT_EQ(trainer->next_assignment().run_id(), 1);
  EXPECT_EQ(resume("sweep").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(SchedulingService, ReachingTheFlopsLimitStopsTheRunsWithTheReason) {
  auto trainer = worker();
  submit("sweep", std::string("limits { flops: 1000 } ") + kTwoRuns);
  const v1::Assignment assignment = trainer->next_assignment();
  report(*trainer, assignment, 1500);
  const v1::StopAttempt stop = trainer->next().stop();
  EXPECT_EQ(stop.attempt_id(), assignment.attempt_id());
  EXPECT_EQ(stop.reason(), "paused: limits.flops: 1.5e+03 of 1e+03 FLOPs are spent");
  trainer->update(assignment.attempt_id(), v1::ATTEMPT_STATE_CANCELLED, 10);
  EXPECT_TRUE(trainer->next().has_update_ack());
  EXPECT_EQ(sweep("sweep").state(), v1::SWEEP_STATE_PAUSED);
  EXPECT_EQ(run(1).state(), v1::RUN_STATE_QUEUED);
  EXPECT_THAT(resume("sweep").error_message(), HasSubstr("limits.flops: 1.5e+03 of 1e+03 FLOPs are spent; raise"));
  restart();
  auto again = worker();
  ASSERT_TRUE(resume("sweep", 1e6).ok());
  EXPECT_EQ(again->next_assignment().attempt_number(), 2);
  EXPECT_EQ(sweep("sweep").limits().flops(), 1e6);
}

TEST_F(SchedulingService, ALargerPriorityTakesTheSlotAndGivesItBack) {
  auto trainer = worker();
  submit("low", "stages { name: 'one' command: 'true' budget { steps: [10] } }");
  const v1::Assignment low = trainer->next_assignment();
  submit("high", "priority: 1 stages { name: 'one' command: 'true' budget { steps: [20] } }");
  EXPECT_THAT(trainer->next().stop().reason(), HasSubstr("preempted by sweep 2 of priority 1"));
  trainer->update(low.attempt_id(), v1::ATTEMPT_STATE_CANCELLED);
  EXPECT_TRUE(trainer->next().has_update_ack());
  const v1::Assignment high = trainer->next_assignment();
  EXPECT_EQ(high.run_id(), 2);
  trainer->train(high);
  EXPECT_TRUE(trainer->next().has_update_ack());
  EXPECT_EQ(trainer->next_assignment().run_id(), 1);
}

TEST_F(SchedulingService, GangMembersLearnTheirRankAndWhereTheFirstListens) {
  auto first = worker("w1");
  auto second = worker("w2");
  submit("sweep", "stages { name: 'one' command: 'true' budget { steps: [10] } resources { workers: 2 } }");
  const v1::Assignment leader = first->next_assignment();
  const v1::Assignment other = second->next_assignment();
  EXPECT_EQ(leader.run_id(), other.run_id());
  EXPECT_NE(leader.attempt_id(), other.attempt_id());
  EXPECT_EQ(leader.gang_size(), 2u);
  EXPECT_EQ(leader.gang().rank() + other.gang().rank(), 1u);
  EXPECT_EQ(leader.gang().master_address(), "host");
  EXPECT_EQ(leader.gang().master_port(), other.gang().master_port());
  // Only rank 0's events are the run's.
  PlayedWorker& zero = leader.gang().rank() == 0 ? *first : *second;
  PlayedWorker& one = leader.gang().rank() == 0 ? *second : *first;
  const int64_t zero_id = std::min(leader.attempt_id(), other.attempt_id());
  one.deliver(zero_id + 1, 0, 10, "records { metrics { step: 5 values { key: 'loss' value: 9 } } }");
  zero.deliver(zero_id, 0, 10, "records { metrics { step: 5 values { key: 'loss' value: 1 } } }");
  EXPECT_EQ(run(1).latest().at("loss"), 1);
  restart();
  EXPECT_EQ(run(1).state(), v1::RUN_STATE_RUNNING);
}

TEST_F(SchedulingService, ADrainedWorkerStaysSoOverARestart) {
  auto idle = worker("w1");
  grpc::ClientContext context;
  v1::DrainWorkerRequest request;
  request.set_worker("w1");
  request.set_reason("new driver");
  v1::Worker drained;
  ASSERT_TRUE(workers->Drain(&context, request, &drained).ok());
  EXPECT_EQ(drained.state(), "draining");
  EXPECT_EQ(drained.reason(), "new driver");
  restart();
  auto again = worker("w1");
  submit("sweep", kTwoRuns);
  EXPECT_THAT(run(1).reason(), HasSubstr("draining"));
  grpc::ClientContext second;
  v1::UndrainWorkerRequest back;
  back.set_worker("w1");
  ASSERT_TRUE(workers->Undrain(&second, back, &drained).ok());
  EXPECT_EQ(again->next_assignment().run_id(), 1);
}

}  // namespace
}  // namespace scalelaw::server
