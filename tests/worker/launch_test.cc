#include "worker/attempt/launch.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace scalelaw::worker {
namespace {

v1::Assignment assignment() {
  v1::Assignment assignment;
  assignment.set_attempt_id(31);
  assignment.set_run_id(12);
  assignment.set_attempt_number(1);
  assignment.set_study("diffusion");
  assignment.set_stage("ladder");
  assignment.set_seed(4);
  assignment.set_budget_flops(1e11);
  assignment.add_command("scalelaw-train");
  auto& params = *assignment.mutable_params()->mutable_fields();
  params["width"].set_number_value(64);
  params["rate"].set_number_value(0.25);
  params["name"].set_string_value("é");
  params["ema"].set_bool_value(true);
  params["sizes"].mutable_list_value()->add_values()->set_number_value(2);
  (*params["nested"].mutable_struct_value()->mutable_fields())["x"].set_null_value(google::protobuf::NULL_VALUE);
  (*assignment.mutable_inputs())["scorer"] = "/path/scorer.pt";
  return assignment;
}

TEST(Launch, TheSpecIsTheProtocols) {
  const auto spec = nlohmann::json::parse(trainer_spec(assignment()));
  EXPECT_EQ(spec, nlohmann::json::parse(R"({
    "version": 1, "run": 12, "attempt": 1, "study": "diffusion", "stage": "ladder",
    "params": {"width": 64, "rate": 0.25, "name": "é", "ema": true, "sizes": [2], "nested": {"x": null}},
    "budget": {"flops": 1e11}, "seed": 4, "inputs": {"scorer": "/path/scorer.pt"}})"));
  EXPECT_TRUE(spec["params"]["width"].is_number_integer()) << "64, not 64.0";
}

TEST(Launch, WithoutABudgetThereIsNone) {
  v1::Assignment unlimited = assignment();
  unlimited.clear_budget();
  EXPECT_FALSE(nlohmann::json::parse(trainer_spec(unlimited)).contains("budget"));
}

TEST(Launch, TheFingerprintIsTheRunsNotTheAttempts) {
  v1::Assignment again = assignment();
  again.set_attempt_id(32);
  again.set_attempt_number(2);
  EXPECT_EQ(run_fingerprint(again), run_fingerprint(assignment()));
  again.set_seed(5);
  EXPECT_NE(run_fingerprint(again), run_fingerprint(assignment()));
}

TEST(Launch, SlotsBecomeThreadsAndGpus) {
  const auto cpu = slot_environment({0, 3}, {.cpu_threads = 4, .gpus = false});
  EXPECT_EQ(cpu.at("OMP_NUM_THREADS"), "8");
  EXPECT_EQ(cpu.at("OPENBLAS_NUM_THREADS"), "8");
  EXPECT_FALSE(cpu.contains("CUDA_VISIBLE_DEVICES"));
  EXPECT_EQ(slot_environment({0, 3}, {.cpu_threads = 4, .gpus = true}).at("CUDA_VISIBLE_DEVICES"), "0,3");
}

TEST(Launch, SharedCheckpointsAreTheRunsNotTheAttemptsAndNoOtherRuns) {
  v1::Assignment again = assignment();
  again.set_attempt_id(99);
  again.set_attempt_number(2);
  EXPECT_EQ(checkpoints_name(again), checkpoints_name(assignment()));
  again.set_seed(5);
  EXPECT_NE(checkpoints_name(again), checkpoints_name(assignment()));
}

TEST(Launch, AMemberOfAGangHasTorchrunsVariables) {
  v1::GangMember member;
  member.set_rank(2);
  member.set_master_address("node-1");
  member.set_master_port(20'007);
  const auto environment = gang_environment(member, 4, 8);
  EXPECT_EQ(environment.at("MASTER_ADDR"), "node-1");
  EXPECT_EQ(environment.at("MASTER_PORT"), "20007");
  EXPECT_EQ(environment.at("WORLD_SIZE"), "4");
  EXPECT_EQ(environment.at("RANK"), "2");
  EXPECT_EQ(environment.at("LOCAL_RANK"), "0");
  EXPECT_EQ(environment.at("PET_NPROC_PER_NODE"), "8");
}

TEST(Launch, FilesReadBackAsTheyWereWritten) {
  Launch launch;
  launch.attempt = AttemptId{1LL << 40};
  launch.run = RunId{7};
  launch.attempt_number = 2;
  launch.run_fingerprint = "{}";
  launch.argv = {"a", "b c", ""};
  launch.environment = {{"A", "1"}};
  launch.run_directory = "/runs/7";
  launch.slots = {1, 2};
  launch.limits = {{"nofile", 64}};
  launch.grace_seconds = 0.5;
  const auto read = launch_from_json(to_json(launch));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(to_json(*read), to_json(launch));
  EXPECT_EQ(read->attempt, launch.attempt);
  EXPECT_FALSE(launch_from_json("{}").ok());
  EXPECT_FALSE(launch_from_json("").ok());
}

}  // namespace
}  // namespace scalelaw::worker
