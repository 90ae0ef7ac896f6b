#include "worker/attempt/exit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scalelaw::worker {
namespace {

using ::testing::HasSubstr;

const StopRequest kCancelled{StopRequest::Cause::kCoordinator, "cancelled by ada"};
const StopRequest kDrained{StopRequest::Cause::kDrain, "drain"};

v1::AttemptUpdate end_of(const Exit& exit, const std::optional<StopRequest>& stop = {}) {
  return describe_end(AttemptId{7}, exit, stop, "line 1\nline 2");
}

TEST(Exit, CodesMeanWhatTheProtocolSays) {
  EXPECT_EQ(end_of({.code = 0}).state(), v1::ATTEMPT_STATE_SUCCEEDED);
  EXPECT_EQ(end_of({.code = 0}).attempt_id(), 7);
  EXPECT_EQ(end_of({.code = 75}).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  EXPECT_EQ(end_of({.code = 65}).state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_TRUE(end_of({.code = 65}).permanent());
  EXPECT_EQ(end_of({.code = 1}).state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_FALSE(end_of({.code = 1}).permanent());
  EXPECT_EQ(end_of({.code = -11}).state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_EQ(end_of({.code = -11}).exit_code(), -11);
}

TEST(Exit, AFailureNamesTheCodeAndTheLastLinesOfOutput) {
  EXPECT_EQ(end_of({.code = 3}).reason(), "exit code 3; last output:\nline 1\nline 2");
  EXPECT_THAT(end_of({.code = -11}).reason(), HasSubstr("signal 11 (SIGSEGV)"));
  EXPECT_THAT(end_of({.code = -9}).reason(), HasSubstr("out of memory"));
}

TEST(Exit, AProgramThatCannotBeStartedFailsForGood) {
  const auto update =
      end_of({.code = 127, .error = "cannot start [\"x\"]: No such file", .cause = Exit::Cause::kPermanent});
  EXPECT_EQ(update.state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_TRUE(update.permanent());
  EXPECT_THAT(update.reason(), HasSubstr("No such file"));
}

TEST(Exit, WhatTheMachineDidIsNoFailureOfTheTrainer) {
  const auto update = end_of({.code = -9, .error = "its supervisor was killed", .cause = Exit::Cause::kInfrastructure});
  EXPECT_EQ(update.state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_TRUE(update.infrastructure());
  EXPECT_FALSE(update.permanent());
}

TEST(Exit, WhatTheCoordinatorStoppedIsCancelledHoweverItEnded) {
  for (const int code : {0, 1, 75, -9, -15}) {
    EXPECT_EQ(end_of({.code = code}, kCancelled).state(), v1::ATTEMPT_STATE_CANCELLED) << code;
  }
  EXPECT_EQ(end_of({.code = -15}, kCancelled).reason(), "cancelled by ada");
}

TEST(Exit, WhatTheWorkerStoppedIsInterruptedUnlessTheTrainerSaysMore) {
  EXPECT_EQ(end_of({.code = 75}, kDrained).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  EXPECT_EQ(end_of({.code = -9}, kDrained).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  EXPECT_EQ(end_of({.code = 1}, kDrained).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  EXPECT_EQ(end_of({.code = 0}, kDrained).state(), v1::ATTEMPT_STATE_SUCCEEDED);
  EXPECT_EQ(end_of({.code = 65}, kDrained).state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_EQ(end_of({.code = -15, .cause = Exit::Cause::kStopped}).state(), v1::ATTEMPT_STATE_INTERRUPTED);
}

TEST(Exit, FilesReadBackAsTheyWereWritten) {
  const Exit exit{.code = -15, .error = "é \"x\"\n\xff", .cause = Exit::Cause::kStopped};
  const auto read = exit_from_json(to_json(exit));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->code, -15);
  EXPECT_THAT(read->error, HasSubstr("é \"x\""));
  EXPECT_EQ(read->cause, Exit::Cause::kStopped);
  EXPECT_FALSE(exit_from_json("{\"code\":").ok());
  EXPECT_FALSE(exit_from_json("{\"code\":\"1\"}").ok());
  EXPECT_FALSE(exit_from_json("{\"code\":1,\"cause\":\"magic\"}").ok());

  const auto stop = stop_from_json(to_json(kDrained));
  ASSERT_TRUE(stop.ok());
  EXPECT_EQ(stop->cause, StopRequest::Cause::kDrain);
  EXPECT_EQ(stop->reason, "drain");
}

}  // namespace
}  // namespace scalelaw::worker
