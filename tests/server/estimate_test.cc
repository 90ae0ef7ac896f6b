#include "server/coordinator/estimate.h"

#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

namespace scalelaw::server {
namespace {

using google::protobuf::util::TimeUtil;

constexpr int64_t kNow = 1'000'000'000;

v1::Run queued(double flops) {
  v1::Run run;
  run.set_stage("ladder");
  run.set_state(v1::RUN_STATE_QUEUED);
  run.set_budget_flops(flops);
  run.set_slots(1);
  return run;
}
v1::Run finished(double flops, double seconds) {
  v1::Run run = queued(flops);
  run.set_state(v1::RUN_STATE_SUCCEEDED);
  run.set_attempts(1);
  *run.mutable_started() = TimeUtil::MillisecondsToTimestamp(kNow - 500'000);
  *run.mutable_finished() = TimeUtil::MillisecondsToTimestamp(kNow - 500'000 + static_cast<int64_t>(seconds * 1000));
  return run;
}
v1::Run running(double flops, double progress, double elapsed) {
  v1::Run run = queued(flops);
  run.set_state(v1::RUN_STATE_RUNNING);
  run.set_attempts(1);
  run.set_progress(progress);
  *run.mutable_started() = TimeUtil::MillisecondsToTimestamp(kNow - static_cast<int64_t>(elapsed * 1000));
  return run;
}

TEST(SweepSecondsLeft, IsUnknownBeforeAnythingWasSeen) {
  EXPECT_FALSE(sweep_seconds_left({queued(1e9)}, 2, kNow).has_value());
}

TEST(SweepSecondsLeft, IsUnknownWithoutSlots) {
  EXPECT_FALSE(sweep_seconds_left({finished(1e9, 10), queued(1e9)}, 0, kNow).has_value());
}

TEST(SweepSecondsLeft, LearnsOverheadAndRateFromFinishedRuns) {
  // 5 s + 10 s per 1e9.
  const auto left = sweep_seconds_left({finished(1e9, 15), finished(2e9, 25), queued(4e9)}, 1, kNow);
  EXPECT_NEAR(left.value(), 45, 1e-6);
}

TEST(SweepSecondsLeft, IsTheTimeUntilTheLastSlotIsFree) {
  const auto left =
      sweep_seconds_left({finished(1e9, 10), queued(3e9), queued(2e9), queued(2e9), queued(1e9)}, 2, kNow);
  EXPECT_NEAR(left.value(), 40, 1e-6) << "30 + 10 beside 20 + 20";
}

TEST(SweepSecondsLeft, ARunningRunCountsWithWhatIsLeftOfIt) {
  EXPECT_NEAR(sweep_seconds_left({running(1e9, 0.25, 10)}, 1, kNow).value(), 30, 1e-6);
}

TEST(SweepSecondsLeft, TheTrainersOwnEstimateIsBelieved) {
  v1::Run run = running(1e9, 0.25, 10);
  run.set_seconds_left(7);
  EXPECT_NEAR(sweep_seconds_left({run}, 1, kNow).value(), 7, 1e-6);
}

TEST(SweepSecondsLeft, WaitingStagesComeAfterTheOthers) {
  v1::Run waiting = queued(1e9);
  waiting.set_state(v1::RUN_STATE_WAITING);
  EXPECT_NEAR(sweep_seconds_left({finished(1e9, 10), queued(2e9), waiting}, 2, kNow).value(), 30, 1e-6);
}

TEST(SweepSecondsLeft, RunsOfTheSameSizeAreTheBestGuide) {
  google::protobuf::Struct small;
  (*small.mutable_fields())["width"].set_number_value(32);
  google::protobuf::Struct large;
  (*large.mutable_fields())["width"].set_number_value(256);
  v1::Run slow = finished(1e9, 100);
  v1::Run fast = finished(1e9, 10);
  v1::Run next = queued(1e9);
  *slow.mutable_params() = small;
  *fast.mutable_params() = large;
  *next.mutable_params() = large;
  EXPECT_NEAR(sweep_seconds_left({slow, fast, next}, 1, kNow).value(), 10, 1e-6);
}

}  // namespace
}  // namespace scalelaw::server
