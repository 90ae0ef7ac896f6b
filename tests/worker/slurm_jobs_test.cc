#include "worker/executor/slurm_jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scalelaw::worker {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Cause = Exit::Cause;

Launch launch_on(std::vector<int> slots) {
  Launch launch;
  launch.attempt = AttemptId{12};
  launch.run = RunId{5};
  launch.attempt_number = 2;
  launch.run_directory = "/shared/runs/5";
  launch.slots = std::move(slots);
  launch.grace_seconds = 20;
  return launch;
}

TEST(SlurmJobs, ResourcesAreThoseOfAllSlots) {
  EXPECT_EQ(*times_slots("gpu", 3), "gpu:3");
  EXPECT_EQ(*times_slots("gpu:h200", 3), "gpu:h200:3");
  EXPECT_EQ(*times_slots("gpu:h200:2", 3), "gpu:h200:6");
  for (const char* bad : {"", "gpu:", "gpu:h200:2x", "gpu:h200:0", "gpu,nic", "gpu:2000000000"}) {
    EXPECT_FALSE(times_slots(bad, 3).ok()) << bad;
  }
  const auto words = sbatch_arguments({.partition = "gpu",
                                       .cpus_per_slot = 4,
                                       .gres_per_slot = "gpu:h200",
                                       .memory_per_slot = "32G",
                                       .extra = {"--constraint=nvlink"}},
                                      launch_on({0, 1}), AttemptDir{"/shared/attempts/12"}, "scalelaw-12-ab");
  for (const char* word : {"--cpus-per-task=8", "--gres=gpu:h200:2", "--mem=64G", "--partition=gpu", "--no-requeue",
                           "--job-name=scalelaw-12-ab", "--signal=B:USR1@50", "--comment=scalelaw run 5 attempt 2"}) {
    EXPECT_THAT(words, Contains(word));
  }
  EXPECT_EQ(words.back(), "--constraint=nvlink");
  EXPECT_THAT(words, Not(Contains(StartsWith("--time"))));
}

TEST(SlurmJobs, AGangIsOneJobWithItsSlotsOnEachOfItsNodes) {
  Launch launch = launch_on({0, 1});
  launch.nodes = 3;
  const AttemptDir dir{"/shared/attempts/12"};
  const auto job = sbatch_arguments({.cpus_per_slot = 4, .gres_per_slot = "gpu:1"}, launch, dir, "scalelaw-12-ab");
  for (const char* word : {"--nodes=3", "--ntasks=3", "--ntasks-per-node=1", "--cpus-per-task=8", "--gres=gpu:2"}) {
    EXPECT_THAT(job, Contains(word));
  }
  const auto step = srun_arguments("/opt/scalelaw-worker", launch, dir);
  for (const char* word : {"--ntasks=3", "--kill-on-bad-exit=1", "gang-member"}) EXPECT_THAT(step, Contains(word));
  EXPECT_EQ(step.back(), "/shared/attempts/12");
}

TEST(SlurmJobs, AResourceMayNameTheModelOfItsGpus) {
  EXPECT_EQ(gpu_model("gpu:h200:1"), "h200");
  EXPECT_EQ(gpu_model("gpu:h200"), "h200");
  for (const char* unnamed : {"", "gpu", "gpu:2", "shard:h200:1"}) EXPECT_EQ(gpu_model(unnamed), "") << unnamed;
}

TEST(SlurmJobs, TheScriptQuotesItsPaths) {
  EXPECT_EQ(batch_script("/opt/scalelaw-worker", AttemptDir{"/shared/ada's runs/12"}),
            "#!/bin/sh\nexport SRUN_CPUS_PER_TASK=\"$SLURM_CPUS_PER_TASK\"\nexec '/opt/scalelaw-worker' "
            "'supervise-job' '/shared/ada'\\''s runs/12'\n");
}

TEST(SlurmJobs, TheQueueIsReadByName) {
  const SlurmJobs jobs = parse_squeue(
      "7|RUNNING|None|n1|scalelaw-12-ab\n8|PENDING|Resources||scalelaw-13-cd\nsqueue: warning\n"
      "9|CANCELLED|None|n1|somebody's | job\n10|PENDING|Priority||scalelaw-12-ab\n");
  EXPECT_EQ(jobs.size(), 4u);
  EXPECT_EQ(jobs.count("scalelaw-12-ab"), 2u);
  EXPECT_EQ(jobs.find("scalelaw-13-cd")->second.state, "PENDING");
  EXPECT_EQ(jobs.count("somebody's | job"), 1u);
}

TEST(SlurmJobs, AccountingSaysWhoCancelled) {
  const SlurmJobs jobs = parse_sacct("7|CANCELLED by 1000|None|n1|a\n8|TIMEOUT|None|n[1-2]|b\n");
  EXPECT_EQ(jobs.find("a")->second.state, "CANCELLED");
  EXPECT_EQ(jobs.find("b")->second.nodes, "n[1-2]");
}

TEST(SlurmJobs, OnlyFinalStatesAreOver) {
  for (const char* state : {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STAGE_OUT", "REQUEUED"}) {
    EXPECT_FALSE(is_over({.id = "1", .state = state, .reason = "", .nodes = ""})) << state;
  }
  for (const char* state : {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY"}) {
    EXPECT_TRUE(is_over({.id = "1", .state = state, .reason = "", .nodes = ""})) << state;
  }
}

Exit end_as(const char* state, const std::optional<Exit>& exit = {}) {
  return end_of_job({.id = "7", .state = state, .reason = "None", .nodes = "n1"}, exit, /*began=*/true);
}

TEST(SlurmJobs, EndsAreToldApart) {
  EXPECT_EQ(end_as("CANCELLED").cause, Cause::kPermanent);
  EXPECT_EQ(end_as("PREEMPTED").cause, Cause::kStopped);
  EXPECT_EQ(end_as("NODE_FAIL").cause, Cause::kInfrastructure);
  EXPECT_EQ(end_as("BOOT_FAIL").cause, Cause::kInfrastructure);
  EXPECT_EQ(end_as("TIMEOUT").cause, Cause::kTrainer);
  EXPECT_NE(end_as("TIMEOUT").code, 0);
  EXPECT_EQ(end_as("OUT_OF_MEMORY").cause, Cause::kTrainer);
  EXPECT_EQ(end_as("FAILED").cause, Cause::kInfrastructure);
  EXPECT_THAT(end_as("NODE_FAIL").error, HasSubstr("Slurm job 7 on n1"));
}

TEST(SlurmJobs, WhatSlurmCancelsAtItsStartIsTriedAgain) {
  const SlurmJob job{.id = "7", .state = "CANCELLED", .reason = "None", .nodes = "n1"};
  EXPECT_EQ(end_of_job(job, std::nullopt, /*began=*/false).cause, Cause::kInfrastructure);
  // Somebody did not want it.
  const SlurmJob waiting{.id = "7", .state = "CANCELLED", .reason = "None", .nodes = ""};
  EXPECT_EQ(end_of_job(waiting, std::nullopt, /*began=*/false).cause, Cause::kPermanent);
}

TEST(SlurmJobs, WhatTheTrainerSaidCounts) {
  for (const char* state : {"COMPLETED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL"}) {
    EXPECT_EQ(end_as(state, Exit{.code = 0}).error, "") << state;
    EXPECT_EQ(end_as(state, Exit{.code = kCannotSucceed}).code, kCannotSucceed) << state;
  }
  EXPECT_EQ(end_as("FAILED", Exit{.code = 3}).code, 3);
  EXPECT_EQ(end_as("FAILED", Exit{.code = 3}).cause, Cause::kTrainer);
  EXPECT_EQ(end_as("PREEMPTED", Exit{.code = -15}).cause, Cause::kStopped);
  EXPECT_EQ(end_as("TIMEOUT", Exit{.code = kInterrupted}).cause, Cause::kStopped);
  EXPECT_EQ(end_as("CANCELLED", Exit{.code = kInterrupted}).cause, Cause::kPermanent);
}

TEST(SlurmJobs, AControllerThatIsAwayIsAskedAgain) {
  EXPECT_TRUE(worth_another_try(
      "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"));
  EXPECT_TRUE(worth_another_try("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"));
  EXPECT_TRUE(worth_another_try("sbatch: error: QOSMaxSubmitJobPerUserLimit"));
  EXPECT_FALSE(worth_another_try("sbatch: error: invalid partition specified: nowhere"));
}

}  // namespace
}  // namespace scalelaw::worker
