#include "cli/progress.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace scalelaw::cli {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

v1::SweepSnapshot snapshot(const std::string& text) {
  v1::SweepSnapshot result;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &result));
  return result;
}

v1::SweepSnapshot under_way() {
  return snapshot(R"(
    sweep { id: 3 name: "first-law" state: SWEEP_STATE_RUNNING submitted { seconds: 1000 } seconds_left: 80
            flops_spent: 6e11 flops_planned: 2e12
            runs { total: 4 succeeded: 1 running: 2 queued: 1 } }
    runs { id: 1 stage: "ladder" name: "depth=2 seed=1" state: RUN_STATE_SUCCEEDED budget_flops: 2e11 progress: 1 }
    runs { id: 2 stage: "ladder" name: "depth=3 seed=1" state: RUN_STATE_RUNNING budget_flops: 8e11 progress: 0.5
           latest { key: "loss" value: 0.8123 } seconds_left: 12 }
    runs { id: 10 stage: "ladder" name: "depth=4 seed=1" state: RUN_STATE_RUNNING budget_flops: 8e11 }
    runs { id: 11 stage: "ladder" name: "depth=5 seed=1" state: RUN_STATE_QUEUED budget_flops: 2e11 })");
}

v1::SweepSnapshot many_running(int count) {
  v1::SweepSnapshot result = under_way();
  for (int i = 0; i < count; ++i) {
    v1::Run& run = *result.add_runs();
    run = result.runs(1);
    run.set_id(100 + i);
  }
  return result;
}

Terminal screen(int width, int height) {
  return {true, false, width, height};
}

TEST(Progress, ShowsTheSweepThenWhatRuns) {
  EXPECT_THAT(render_progress(under_way(), screen(90, 24), 1100),
              ElementsAre("first-law  sweep 3  running",
                          "█████████░░░░░░░░░░░░░░░░░░░░░ 30 %   about 1 m 20 s left   1 m 40 s so far",
                          "1 of 4 runs done · 2 running · 1 queued   6e11 of 2e12 FLOPs",
                          "  2  ladder  depth=3 seed=1  ████████░░░░░░░░  50 %  loss 0.8123  12 s left",
                          " 10  ladder  depth=4 seed=1  ░░░░░░░░░░░░░░░░   0 %                        "));
}

TEST(Progress, ShareIsByFlopsAndIsWholeOnlyAtTheEnd) {
  EXPECT_DOUBLE_EQ(done_share(under_way()), 0.3);
  v1::SweepSnapshot nearly = under_way();
  for (v1::Run& run : *nearly.mutable_runs()) run.set_progress(1);
  EXPECT_LT(done_share(nearly), 1);
  for (v1::Run& run : *nearly.mutable_runs()) run.set_state(v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(done_share(nearly), 1);
}

TEST(Progress, WithoutBudgetsTheShareIsByRuns) {
  EXPECT_DOUBLE_EQ(done_share(snapshot("runs { state: RUN_STATE_FAILED } runs { state: RUN_STATE_QUEUED }")), 0.5);
}

TEST(Progress, AnUnknownTimeLeftIsSaidToBeUnknown) {
  v1::SweepSnapshot young = under_way();
  young.mutable_sweep()->clear_seconds_left();
  EXPECT_THAT(render_progress(young, screen(90, 24), 1001)[1], HasSubstr("time left not known yet"));
}

TEST(Progress, FitsAnyTerminal) {
  v1::SweepSnapshot crowd = many_running(50);
  for (int i = 0; i < 30; ++i) {
    v1::Run& run = *crowd.add_runs();
    run.set_state(v1::RUN_STATE_FAILED);
    run.set_reason("exit code 1: " + std::string(300, 'x'));
  }
  for (int width : {20, 40, 80, 200})
    for (int height : {2, 5, 8, 24, 60}) {
      std::vector<std::string> lines = render_progress(crowd, screen(width, height), 1100);
      EXPECT_LE(static_cast<int>(lines.size()), std::max(3, height - 1)) << width << "×" << height;
      for (const std::string& line : lines) EXPECT_LE(display_width(line), width) << line;
    }
}

TEST(Progress, WhatDoesNotFitIsCounted) {
  std::vector<std::string> lines = render_progress(many_running(50), screen(90, 10), 1100);
  EXPECT_EQ(lines.size(), 9u);
  EXPECT_EQ(lines.back(), " … and 47 more running");
}

TEST(Progress, FailuresAreShownWithTheirReason) {
  v1::SweepSnapshot bad = under_way();
  bad.mutable_runs(0)->set_state(v1::RUN_STATE_FAILED);
  bad.mutable_runs(0)->set_reason("exit code 65: diverged");
  EXPECT_EQ(render_progress(bad, screen(90, 24), 1100).back(),
            " run 1 (ladder depth=2 seed=1): exit code 65: diverged");
}

TEST(Progress, SaysWhyNothingRuns) {
  v1::SweepSnapshot idle = snapshot(R"(
    sweep { id: 1 name: "s" state: SWEEP_STATE_RUNNING runs { total: 1 queued: 1 } }
    runs { id: 1 state: RUN_STATE_QUEUED reason: "no worker has a free slot" })");
  EXPECT_EQ(render_progress(idle, screen(80, 24), 0).back(), "waiting: no worker has a free slot");
}

TEST(Progress, APausedSweepSaysWhyAndHowToGoOn) {
  v1::SweepSnapshot paused = snapshot(R"(
    sweep { id: 7 name: "s" owner: "vision" priority: 3 state: SWEEP_STATE_PAUSED runs { total: 1 queued: 1 }
            reason: "limits.flops: 2e+12 of 1e+12 FLOPs are spent" }
    runs { id: 1 state: RUN_STATE_QUEUED })");
  const std::vector<std::string> lines = render_progress(paused, screen(120, 24), 0);
  EXPECT_THAT(lines.front(), HasSubstr("s  sweep 7  of vision  priority 3"));
  EXPECT_EQ(lines.back(), "paused: limits.flops: 2e+12 of 1e+12 FLOPs are spent; go on with  scalelaw resume 7");
  EXPECT_FALSE(is_over(paused.sweep().state()));
}

TEST(Progress, ColoursOnlyWhereTheyAreWanted) {
  EXPECT_THAT(render_progress(under_way(), screen(90, 24), 1100), Each(Not(HasSubstr("\033"))));
  EXPECT_THAT(render_progress(under_way(), {true, true, 90, 24}, 1100)[1], HasSubstr("\033["));
}

TEST(PlainProgress, OneLineForTheSweep) {
  EXPECT_EQ(progress_line(under_way(), 1100),
            "first-law: 30 %   1 of 4 runs done · 2 running · 1 queued   6e11 of 2e12 FLOPs   1 m 40 s so far   about "
            "1 m 20 s left");
}

TEST(PlainProgress, ALineForEachRunThatChangedItsState) {
  v1::SweepSnapshot before = under_way();
  v1::SweepSnapshot after = under_way();
  EXPECT_THAT(state_changes(before, after), IsEmpty());
  v1::Run& run = *after.mutable_runs(1);
  run.set_state(v1::RUN_STATE_SUCCEEDED);
  run.mutable_started()->set_seconds(1000);
  run.mutable_finished()->set_seconds(1080);
  after.mutable_runs(3)->set_state(v1::RUN_STATE_SKIPPED);
  after.mutable_runs(3)->set_reason("scorer failed");
  EXPECT_THAT(state_changes(before, after),
              ElementsAre("run 2 ladder depth=3 seed=1: succeeded  loss 0.8123  in 1 m 20 s",
                          "run 11 ladder depth=5 seed=1: skipped  (scorer failed)"));
}

TEST(Bar, FillsInEighths) {
  EXPECT_EQ(bar(0, 4), "░░░░");
  EXPECT_EQ(bar(0.5, 4), "██░░");
  EXPECT_EQ(bar(0.53125, 4), "██▏░");
  EXPECT_EQ(bar(1, 4), "████");
  EXPECT_EQ(bar(7, 4), "████");
}

}  // namespace
}  // namespace scalelaw::cli
