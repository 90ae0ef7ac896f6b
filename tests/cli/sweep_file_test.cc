#include "cli/sweep_file.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

namespace scalelaw::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

absl::StatusOr<SweepFile> parse(const std::string& text) {
  return parse_sweep_file("s.yaml", text, "/home/me");
}

std::string error(const std::string& text) {
  absl::StatusOr<SweepFile> file = parse(text);
  return file.ok() ? "no error" : std::string(file.status().message());
}

TEST(SweepFile, HasTheShapeOfTheMessage) {
  absl::StatusOr<SweepFile> file = parse(R"(
name: first
study: diffusion
max_parallel: 2
priority: -3
owner: vision
order: cheapest-first
limits: {flops: 1e18, slot_hours: 2.5}
stages:
  - name: scorer
    family: scorer
    budget: {steps: 400}
  - name: ladder
    family: diffusion-dit
    needs: {scorer: scorer}
    params: {heads: 2, note: "64", ema: true}
    grid:
      depth: [2, 3]
      rate: 1e-3
    list:
      - {caption: short}
    budget: {flops: [1e11, 4E11]}
    seeds: [1, 2]
    resources: {slots: 1, labels: {gpu: a100}, workers: 2, gpu_model: h100, gpu_memory_gib: 80}
    retries: {max: 0, backoff_seconds: 0.5}
    holdout: true
    early_stopping: {metric: loss, above: 20, worse_than_median_after: 0.5}
)");
  ASSERT_TRUE(file.ok()) << file.status();
  v1::SweepSpec expected;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    name: "first" study: "diffusion" max_parallel: 2
    priority: -3 owner: "vision" order: ORDER_CHEAPEST_FIRST limits { flops: 1e18 slot_hours: 2.5 }
    stages { name: "scorer" family: "scorer" budget { steps: 400 } }
    stages {
      name: "ladder" family: "diffusion-dit" needs { key: "scorer" value: "scorer" }
      params { fields { key: "heads" value { number_value: 2 } } fields { key: "note" value { string_value: "64" } }
               fields { key: "ema" value { bool_value: true } } }
      grid { key: "depth" values { number_value: 2 } values { number_value: 3 } }
      grid { key: "rate" values { number_value: 0.001 } }
      list { fields { key: "caption" value { string_value: "short" } } }
      budget { flops: 1e11 flops: 4e11 }
      seeds: 1 seeds: 2
      resources { slots: 1 labels { key: "gpu" value: "a100" } workers: 2 gpu_model: "h100" gpu_memory_gib: 80 }
      retries { max: 0 backoff_seconds: 0.5 }
      holdout: true
      early_stopping { metric: "loss" above: 20 worse_than_median_after: 0.5 }
    })",
                                                            &expected));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(file->spec, expected)) << file->spec.DebugString();
}

TEST(SweepFile, GridValuesMayBeMaps) {
  absl::StatusOr<SweepFile> file = parse("stages: [{grid: {model: [{width: 32, depth: 2}, {width: 64, depth: 3}]}}]");
  ASSERT_TRUE(file.ok()) << file.status();
  const v1::GridAxis& axis = file->spec.stages(0).grid(0);
  EXPECT_EQ(axis.key(), "model");
  EXPECT_EQ(axis.values(1).struct_value().fields().at("width").number_value(), 64);
}

TEST(SweepFile, HereIsTheFoldersPath) {
  absl::StatusOr<SweepFile> file = parse("stages: [{command: [python3, '{here}/train.py']}]");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->spec.stages(0).command(1), "/home/me/train.py");
}

TEST(SweepFileError, UnknownKeysAreShownWithTheNearestKnownOne) {
  EXPECT_EQ(error("name: s\n"
                  "stages:\n"
                  "  - name: a\n"
                  "    budgt: {flops: 1e11}\n"),
            "s.yaml:4:5: stages[0]: unknown key \"budgt\", did you mean \"budget\"?; allowed are name, study, needs, "
            "family, command, params, grid, list, budget, seeds, resources, retries, holdout, "
            "early_stopping, source\n"
            "    4 |     budgt: {flops: 1e11}\n"
            "      |     ^");
  EXPECT_THAT(error("nam: s"),
              StartsWith("s.yaml:1:1: unknown key \"nam\", did you mean \"name\"?; allowed are name, "));
  EXPECT_THAT(error("zzzzz: s"), StartsWith("s.yaml:1:1: unknown key \"zzzzz\"; allowed are name, "));
}

TEST(SweepFileError, WrongTypesNameTheFieldAndWhatIsAllowed) {
  EXPECT_THAT(error("stages: 3"), StartsWith("s.yaml:1:9: stages: must be a list, not \"3\""));
  EXPECT_THAT(error("max_parallel: many"),
              StartsWith("s.yaml:1:15: max_parallel: must be a whole number from 0 to 1000000000, not \"many\""));
  EXPECT_THAT(error("max_parallel: -1"), StartsWith("s.yaml:1:15: max_parallel: must be a whole number from 0"));
  EXPECT_THAT(error("stages: [{holdout: yes}]"),
              StartsWith("s.yaml:1:20: stages[0].holdout: must be true or false, not \"yes\""));
  EXPECT_THAT(error("stages: [{budget: {flops: [1e11, lots]}}]"),
              StartsWith("s.yaml:1:34: stages[0].budget.flops[1]: must be a number such as 0.5 or 1e11, not \"lots\""));
  EXPECT_THAT(error("stages: [{seeds: [1.5]}]"), StartsWith("s.yaml:1:19: stages[0].seeds[0]: must be a whole number"));
  EXPECT_THAT(error("stages: [{seeds: 3}]"), StartsWith("s.yaml:1:18: stages[0].seeds: must be a list, not \"3\""));
  EXPECT_THAT(error("stages: [{command: python train.py}]"),
              StartsWith("s.yaml:1:20: stages[0].command: must be a list, such as [python3, train.py]; no shell"));
  EXPECT_THAT(error("stages: [{grid: [1, 2]}]"), StartsWith("s.yaml:1:17: stages[0].grid: must be a map from"));
  EXPECT_THAT(error("stages: [{params: 3}]"), StartsWith("s.yaml:1:19: stages[0].params: must be a map of"));
  EXPECT_THAT(error("order: random"),
              StartsWith("s.yaml:1:8: order: must be longest-first or cheapest-first, not \"random\""));
  EXPECT_THAT(error("priority: high"), StartsWith("s.yaml:1:11: priority: must be a whole number"));
  EXPECT_THAT(error("name: [a]"), StartsWith("s.yaml:1:7: name: must be a word or text, not a list"));
  EXPECT_THAT(error("- name"), StartsWith("s.yaml:1:1: must be a map with the keys name, "));
}

TEST(SweepFileError, KeysGivenTwice) {
  EXPECT_THAT(error("name: a\nstudy: b\nname: c\n"), StartsWith("s.yaml:3:1: name: is given twice"));
  EXPECT_THAT(error("stages: [{grid: {depth: [1], depth: [2]}}]"),
              StartsWith("s.yaml:1:30: stages[0].grid.depth: is given twice"));
}

TEST(SweepFileError, KeysWithoutAValue) {
  EXPECT_THAT(error("name:\nstudy: b\n"), StartsWith("s.yaml:1:1: name: has no value"));
  EXPECT_THAT(error("stages: [{grid: {depth: }}]"), StartsWith("s.yaml:1:18: stages[0].grid.depth: has no value"));
  EXPECT_THAT(error("stages: [{params: {w: ~}}]"), StartsWith("s.yaml:1:20: stages[0].params.w: has no value"));
}

TEST(SweepFileError, WhatIsNoYaml) {
  EXPECT_THAT(error(""), StartsWith("s.yaml:1:1: the file is empty"));
  EXPECT_THAT(error("# only a comment\n"), StartsWith("s.yaml:1:1: the file is empty"));
  EXPECT_THAT(error("name: s\nstudy: caf\xe9\n"), StartsWith("s.yaml:2:11: this byte is no UTF-8"));
  EXPECT_THAT(error("name: s\nstages:\n\t- name: a\n"), StartsWith("s.yaml:3:1: a tab cannot indent YAML; use spaces"));
  EXPECT_THAT(error("name: [a\n"), HasSubstr("not valid YAML: "));
  EXPECT_THAT(error("name: a\n---\nname: b\n"), StartsWith("s.yaml:2:1: a file holds one sweep"));
  // A parser of whole streams never ends on these.
  EXPECT_THAT(error(", command: [x]\n"), StartsWith("s.yaml:1:1: not valid YAML: "));
  EXPECT_THAT(error("name: a\n} b\n"), HasSubstr("s.yaml:2:1: "));
}

TEST(SweepFileError, OfTheServersIsFoundInTheFile) {
  SweepFile file = *parse(
      "name: s\n"
      "stages:\n"
      "  - name: a\n"
      "    grid:\n"
      "      depth: [2, 2]\n");
  EXPECT_EQ(locate(file, "stages[0].grid.depth[1]: is there twice"),
            "s.yaml:5:18: stages[0].grid.depth[1]: is there twice\n"
            "    5 |       depth: [2, 2]\n"
            "      |                  ^");
  EXPECT_THAT(locate(file, "stages[0].family: is required"), StartsWith("s.yaml:3:5: stages[0].family: is required\n"))
      << "what is missing is missing from its stage";
  EXPECT_EQ(locate(file, "study: is required"), "s.yaml: study: is required");
}

TEST(SweepFileError, AFileThatIsNotThere) {
  absl::StatusOr<SweepFile> file = read_sweep_file("/nowhere/s.yaml");
  EXPECT_EQ(std::string(file.status().message()), "cannot read /nowhere/s.yaml: No such file or directory");
}

}  // namespace
}  // namespace scalelaw::cli
