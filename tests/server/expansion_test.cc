#include "server/expansion/expansion.h"

#include <limits>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "server/expansion/canonical_json.h"

namespace scalelaw::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

v1::SweepSpec sweep(const std::string& text) {
  v1::SweepSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return spec;
}

// A sweep of one stage that runs a command, with more fields of the stage.
v1::SweepSpec one_stage(const std::string& fields) {
  return sweep(R"(name: "s" study: "study" stages { name: "ladder" command: "train" )" + fields + "}");
}

// A whole first law: scorer, tokenizer, a ladder of VARs.
v1::SweepSpec first_law() {
  return sweep(R"(
    name: "first-law" study: "shared"
    stages { name: "scorer" family: "scorer" budget { steps: 400 } }
    stages { name: "tokenizer" family: "var-tokenizer" needs { key: "scorer" value: "scorer" } budget { steps: 300 } }
    stages {
      name: "ladder" study: "var" family: "var"
      needs { key: "scorer" value: "scorer" } needs { key: "tokenizer" value: "tokenizer" }
      grid { key: "depth" values { number_value: 2 } values { number_value: 3 } }
      budget { flops: 1e11 flops: 4e11 }
      seeds: 1 seeds: 2
    })");
}

std::vector<std::string> names(const ExpandedStage& stage) {
  std::vector<std::string> all;
  for (const ExpandedRun& run : stage.runs) all.push_back(run.name);
  return all;
}

std::string error(const v1::SweepSpec& spec) {
  absl::StatusOr<Expansion> expansion = expand(spec);
  if (expansion.ok()) return "no error";
  EXPECT_EQ(expansion.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(expansion.status().message());
}

TEST(Expansion, TheLastKeyIsTheFastest) {
  Expansion expansion = *expand(first_law());
  ASSERT_EQ(expansion.stages.size(), 3u);
  EXPECT_THAT(names(expansion.stages[2]),
              ElementsAre("depth=2 flops=1e11 seed=1", "depth=2 flops=1e11 seed=2", "depth=2 flops=4e11 seed=1",
                          "depth=2 flops=4e11 seed=2", "depth=3 flops=1e11 seed=1", "depth=3 flops=1e11 seed=2",
                          "depth=3 flops=4e11 seed=1", "depth=3 flops=4e11 seed=2"));
  EXPECT_EQ(expansion.run_count(), 10);
}

TEST(Expansion, StagesKnowTheirStudyCommandAndWhereTheirArtifactsComeFrom) {
  Expansion expansion = *expand(first_law());
  const ExpandedStage& ladder = expansion.stages[2];
  EXPECT_EQ(expansion.stages[0].study, "shared");
  EXPECT_EQ(ladder.study, "var");
  EXPECT_THAT(ladder.command, ElementsAre("scalelaw-train", "var"));
  ASSERT_EQ(ladder.needs.size(), 2u);
  EXPECT_EQ(ladder.needs[0].artifact, "scorer");
  EXPECT_EQ(ladder.needs[0].stage, 0);
  EXPECT_EQ(ladder.needs[1].artifact, "tokenizer");
  EXPECT_EQ(ladder.needs[1].stage, 1);
}

TEST(Expansion, GridOverridesListOverridesParams) {
  Expansion expansion = *expand(one_stage(R"(
    params { fields { key: "a" value { number_value: 1 } } fields { key: "b" value { number_value: 1 } }
             fields { key: "c" value { number_value: 1 } } }
    list { fields { key: "b" value { number_value: 2 } } fields { key: "c" value { number_value: 2 } } }
    grid { key: "c" values { number_value: 3 } })"));
  EXPECT_EQ(canonical_json(expansion.stages[0].runs.at(0).params), R"({"a":1,"b":2,"c":3})");
}

TEST(Expansion, AnAxisOfMapsSetsSeveralParametersTogether) {
  Expansion expansion = *expand(one_stage(R"(
    grid { key: "model"
      values { struct_value { fields { key: "width" value { number_value: 32 } }
                              fields { key: "depth" value { number_value: 2 } } } }
      values { struct_value { fields { key: "width" value { number_value: 64 } }
                              fields { key: "depth" value { number_value: 3 } } } } })"));
  EXPECT_THAT(names(expansion.stages[0]), ElementsAre("depth=2 width=32 seed=1", "depth=3 width=64 seed=1"));
  EXPECT_EQ(canonical_json(expansion.stages[0].runs[1].params), R"({"depth":3,"width":64})");
}

TEST(Expansion, NamesHoldOnlyWhatVaries) {
  Expansion expansion = *expand(one_stage(R"(
    grid { key: "width" values { number_value: 64 } }
    grid { key: "rate" values { number_value: 0.001 } values { number_value: 0.01 } }
    budget { samples: 50000 })"));
  EXPECT_THAT(names(expansion.stages[0]),
              ElementsAre("rate=0.001 samples=50000 seed=1", "rate=0.01 samples=50000 seed=1"));
}

TEST(Expansion, DefaultsAreOneSlotTwoRetriesSeedOne) {
  Expansion expansion = *expand(one_stage(""));
  const ExpandedStage& stage = expansion.stages[0];
  EXPECT_EQ(stage.slots, 1u);
  EXPECT_EQ(stage.max_retries, 2u);
  EXPECT_EQ(stage.backoff_seconds, 1.0);
  EXPECT_FALSE(stage.holdout);
  EXPECT_THAT(names(stage), ElementsAre("seed=1"));
}

TEST(Expansion, ZeroRetriesAreNotTheDefault) {
  EXPECT_EQ(expand(one_stage("retries { max: 0 }"))->stages[0].max_retries, 0u);
}

TEST(ContentKey, IsTheSameForTheSameTrainingInAnotherSweep) {
  v1::SweepSpec other = first_law();
  other.set_name("again");
  other.mutable_stages(2)->set_name("renamed");
  other.mutable_stages(2)->set_holdout(true);
  EXPECT_EQ(expand(first_law())->stages[2].runs[3].content_key, expand(other)->stages[2].runs[3].content_key);
}

TEST(ContentKey, ChangesWithWhatTheRunIsMadeFrom) {
  v1::SweepSpec other = first_law();
  other.mutable_stages(0)->mutable_budget()->set_steps(0, 401);
  Expansion before = *expand(first_law());
  Expansion after = *expand(other);
  EXPECT_NE(before.stages[0].runs[0].content_key, after.stages[0].runs[0].content_key);
  EXPECT_NE(before.stages[1].runs[0].content_key, after.stages[1].runs[0].content_key)
      << "the tokenizer needs the scorer";
  EXPECT_NE(before.stages[2].runs[0].content_key, after.stages[2].runs[0].content_key);
}

TEST(ContentKey, IsASha256ThatStaysTheSameOverReleases) {
  // printf
  // '{"budget":{"steps":400},"command":["scalelaw-train","scorer"],"inputs":{},"params":{},"seed":1,"version":1}'
  //   | sha256sum
  EXPECT_EQ(expand(first_law())->stages[0].runs[0].content_key,
            "67302e3b19ee269b4a8ef437e6bf85911a99e4b2ea69e73056e2786a97cd5f0f");
}

TEST(Expansion, ALaterStageMayBeNeededByAnEarlierOne) {
  Expansion expansion = *expand(sweep(R"(
    name: "s" study: "study"
    stages { name: "b" command: "x" needs { key: "in" value: "a" } }
    stages { name: "a" command: "y" })"));
  EXPECT_EQ(expansion.stages[0].needs[0].stage, 1);
  EXPECT_EQ(expansion.stages[0].runs[0].content_key.size(), 64u);
}

TEST(ExpansionError, NamesTheSweepAndItsStages) {
  EXPECT_EQ(error(sweep("")), "name: is required");
  EXPECT_THAT(error(sweep(R"(name: "a b")")), StartsWith(R"(name: "a b" is no name; allowed are)"));
  EXPECT_THAT(error(sweep(R"(name: "12")")), StartsWith("name: "));
  EXPECT_THAT(error(sweep(R"(name: "s")")), StartsWith("stages: is empty"));
  EXPECT_EQ(error(sweep(R"(name: "s" stages { command: "x" })")), "stages[0].name: is required");
  EXPECT_THAT(error(sweep(R"(name: "s" stages { name: "a" command: "x" })")), StartsWith("study: is required"));
  EXPECT_THAT(
      error(sweep(R"(name: "s" study: "t" stages { name: "a" command: "x" } stages { name: "a" command: "x" })")),
      StartsWith(R"(stages[1].name: "a" is already)"));
}

TEST(ExpansionError, FamilyOrCommandButNotBoth) {
  auto stage = [](const std::string& fields) {
    return error(sweep(R"(name: "s" study: "t" stages { name: "a" )" + fields + "}"));
  };
  EXPECT_EQ(stage(""),
            "stages[0].family: is required, or a command; the families are scorer, var-tokenizer, var, diffusion-dit, "
            "diffusion-unet");
  EXPECT_THAT(stage(R"(family: "scorer" command: "x")"), StartsWith("stages[0].command: give either"));
  EXPECT_THAT(stage(R"(family: "vae")"),
              StartsWith(R"(stages[0].family: there is no "vae"; the families are scorer, var-tokenizer, var, )"));
}

TEST(ExpansionError, NeedsMustBeStagesThatMakeTheArtifact) {
  v1::SweepSpec unknown = first_law();
  (*unknown.mutable_stages(2)->mutable_needs())["scorer"] = "scores";
  EXPECT_EQ(error(unknown),
            R"(stages[2].needs.scorer: there is no stage "scores"; the other stages are scorer, tokenizer)");

  v1::SweepSpec missing = first_law();
  missing.mutable_stages(2)->mutable_needs()->erase("tokenizer");
  EXPECT_EQ(error(missing),
            "stages[2].needs: var needs the artifact tokenizer: add `tokenizer: STAGE`, a stage that makes it");

  v1::SweepSpec swapped = first_law();
  (*swapped.mutable_stages(2)->mutable_needs())["tokenizer"] = "scorer";
  EXPECT_EQ(error(swapped),
            "stages[2].needs.tokenizer: stage scorer (scorer) makes the artifact scorer, not tokenizer");

  v1::SweepSpec ambiguous = first_law();
  ambiguous.mutable_stages(0)->add_seeds(1);
  ambiguous.mutable_stages(0)->add_seeds(2);
  EXPECT_THAT(error(ambiguous), HasSubstr("stage scorer has 2 runs; an artifact must come from a stage with one"));

  v1::SweepSpec useless = first_law();
  (*useless.mutable_stages(0)->mutable_needs())["tokenizer"] = "tokenizer";
  EXPECT_EQ(error(useless), "stages[0].needs.tokenizer: scorer takes no artifacts");

  v1::SweepSpec self = first_law();
  (*self.mutable_stages(1)->mutable_needs())["scorer"] = "tokenizer";
  EXPECT_EQ(error(self), "stages[1].needs.scorer: a stage cannot need itself");
}

TEST(ExpansionError, CirclesAreShown) {
  EXPECT_EQ(error(sweep(R"(
    name: "s" study: "study"
    stages { name: "first" command: "x" needs { key: "in" value: "a" } }
    stages { name: "a" command: "x" needs { key: "in" value: "b" } }
    stages { name: "b" command: "x" needs { key: "in" value: "a" } })")),
            "stages[1].needs: the needs go round in a circle: a → b → a");
}

TEST(ExpansionError, GridsHaveValuesOfOneKind) {
  EXPECT_THAT(error(one_stage(R"(grid { key: "depth" })")), StartsWith("stages[0].grid.depth: is empty"));
  EXPECT_THAT(error(one_stage(R"(grid { key: "depth" values { null_value: NULL_VALUE } })")),
              StartsWith("stages[0].grid.depth[0]: has no value"));
  EXPECT_THAT(error(one_stage(R"(grid { key: "depth" values { number_value: 1 } values { struct_value {} } })")),
              StartsWith("stages[0].grid.depth[1]: is unlike"));
  EXPECT_THAT(
      error(one_stage(R"(grid { key: "a" values { number_value: 1 } } grid { key: "a" values { number_value: 2 } })")),
      StartsWith("stages[0].grid.a: is given twice"));
  EXPECT_EQ(error(one_stage(R"(
    grid { key: "width" values { number_value: 1 } }
    grid { key: "model" values { struct_value { fields { key: "width" value { number_value: 1 } } } } })")),
            "stages[0].grid.model: sets width, which grid.width sets too");
}

TEST(ExpansionError, ParametersHaveFiniteValues) {
  v1::SweepSpec spec = one_stage("");
  (*spec.mutable_stages(0)->mutable_params()->mutable_fields())["lr"].set_number_value(
      std::numeric_limits<double>::infinity());
  EXPECT_EQ(error(spec), "stages[0].params.lr: must be a finite number");
}

TEST(ExpansionError, BudgetsArePositiveFiniteAndOfOneKind) {
  EXPECT_THAT(error(one_stage("budget { flops: 0 }")), StartsWith("stages[0].budget.flops[0]: must be above 0"));
  EXPECT_THAT(error(one_stage("budget { flops: 1e11 flops: -1 }")), StartsWith("stages[0].budget.flops[1]: "));
  EXPECT_THAT(error(one_stage("budget { flops: nan }")), StartsWith("stages[0].budget.flops[0]: "));
  EXPECT_THAT(error(one_stage("budget { flops: inf }")), StartsWith("stages[0].budget.flops[0]: "));
  EXPECT_THAT(error(one_stage("budget { samples: -5 }")), StartsWith("stages[0].budget.samples[0]: "));
  EXPECT_EQ(error(one_stage("budget { flops: 1 steps: 1 }")),
            "stages[0].budget: gives flops and steps; give exactly one of flops, samples, steps");
  EXPECT_THAT(error(one_stage("budget { }")), StartsWith("stages[0].budget: is empty"));
}

TEST(ExpansionError, ARunThatIsThereTwiceIsNamed) {
  EXPECT_EQ(error(one_stage(R"(grid { key: "w" values { number_value: 8 } values { number_value: 9 }
                                      values { number_value: 8 } })")),
            "stages[0]: the run w=8 seed=1 is there twice; remove the repeated value");
  EXPECT_EQ(error(one_stage("seeds: 3 seeds: 3")), "stages[0].seeds[1]: 3 is listed twice");
}

TEST(ExpansionError, ResourcesAndRetriesHaveLimits) {
  EXPECT_THAT(error(one_stage("resources { slots: 5000 }")), StartsWith("stages[0].resources.slots: must be from 1"));
  EXPECT_THAT(error(one_stage("retries { backoff_seconds: -1 }")), StartsWith("stages[0].retries.backoff_seconds: "));
  EXPECT_THAT(error(one_stage("seeds: -1")), StartsWith("stages[0].seeds[0]: "));
}

TEST(ExpansionError, TooManyRunsAreRefusedBeforeTheyAreBuilt) {
  v1::SweepSpec spec = one_stage("");
  for (const char* key : {"a", "b", "c", "d", "e", "f", "g"}) {
    v1::GridAxis* axis = spec.mutable_stages(0)->add_grid();
    axis->set_key(key);
    for (int i = 0; i < 100; ++i) axis->add_values()->set_number_value(i);
  }
  absl::Status status = expand(spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1e14 runs; at most 100000"));
}

TEST(CanonicalJson, NumbersReadAsPeopleWriteThem) {
  EXPECT_EQ(short_number(64), "64");
  EXPECT_EQ(short_number(0.1), "0.1");
  EXPECT_EQ(short_number(1e11), "1e11");
  EXPECT_EQ(short_number(1.6e12), "1.6e12");
  EXPECT_EQ(short_number(20000), "20000");
  EXPECT_EQ(short_number(20000, 1e4), "2e4");
  EXPECT_EQ(short_number(1234567), "1234567");
  EXPECT_EQ(short_number(1e-5), "1e-5");
  EXPECT_EQ(short_number(-2.5), "-2.5");
}

TEST(CanonicalJson, KeysAreSortedAndWholeNumbersHaveNoFraction) {
  google::protobuf::Struct value;
  (*value.mutable_fields())["b"].set_number_value(2);
  (*value.mutable_fields())["a"].set_number_value(0.5);
  (*value.mutable_fields())["c"].mutable_list_value()->add_values()->set_string_value("x");
  EXPECT_EQ(canonical_json(value), R"({"a":0.5,"b":2,"c":["x"]})");
}

TEST(Expansion, SchedulingIsCarriedOver) {
  v1::SweepSpec spec = one_stage("resources { slots: 8 workers: 2 gpu_model: 'H100' gpu_memory_gib: 80 }");
  spec.set_priority(-3);
  spec.set_owner("vision");
  spec.mutable_limits()->set_slot_hours(2.5);
  spec.set_order(v1::ORDER_CHEAPEST_FIRST);
  const Expansion expansion = *expand(spec);
  EXPECT_EQ(expansion.priority, -3);
  EXPECT_EQ(expansion.owner, "vision");
  EXPECT_EQ(expansion.limits.slot_hours(), 2.5);
  EXPECT_EQ(expansion.order, v1::ORDER_CHEAPEST_FIRST);
  EXPECT_EQ(expansion.stages[0].workers, 2u);
  EXPECT_EQ(expansion.stages[0].gpu_model, "h100");
  EXPECT_EQ(expansion.stages[0].gpu_memory_bytes, int64_t{80} << 30);
  EXPECT_EQ(expand(one_stage(""))->order, v1::ORDER_LONGEST_FIRST);
}

TEST(Validation, OfEarlyStoppingNamesTheFieldAndWhatIsMissing) {
  EXPECT_THAT(error(one_stage("early_stopping { above: 3 }")),
              StartsWith("stages[0].early_stopping.metric: is required"));
  EXPECT_THAT(error(one_stage("early_stopping { metric: 'loss' }")),
              StartsWith("stages[0].early_stopping: gives no rule"));
  EXPECT_THAT(error(one_stage("early_stopping { metric: 'loss' worse_than_median_after: 50 }")),
              StartsWith("stages[0].early_stopping.worse_than_median_after: must be a share"));
  EXPECT_THAT(error(one_stage("early_stopping { metric: 'loss' worse_than_median_after: 0.5 }")),
              HasSubstr("needs a budget"));
  EXPECT_TRUE(expand(one_stage("early_stopping { metric: 'loss' above: 3 }")).ok());
}

TEST(Expansion, WhereARunMayGoDoesNotMakeItAnotherRun) {
  const auto key = [](const v1::SweepSpec& spec) { return expand(spec)->stages[0].runs[0].content_key; };
  v1::SweepSpec urgent = one_stage("resources { slots: 8 workers: 2 }");
  urgent.set_priority(9);
  EXPECT_EQ(key(urgent), key(one_stage("")));
}

TEST(Validation, OfSchedulingNamesTheFieldAndTheLimits) {
  v1::SweepSpec spec = one_stage("");
  spec.set_priority(1001);
  EXPECT_THAT(error(spec), StartsWith("priority: must be from -1000 to 1000, not 1001"));
  spec = one_stage("");
  spec.set_owner("a b");
  EXPECT_THAT(error(spec), StartsWith("owner: \"a b\" is no name"));
  spec = one_stage("");
  spec.mutable_limits()->set_flops(-1);
  EXPECT_THAT(error(spec), StartsWith("limits.flops: must be from 0"));
  spec.mutable_limits()->set_flops(0);
  spec.mutable_limits()->set_slot_hours(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(error(spec), StartsWith("limits.slot_hours: must be from 0"));
  EXPECT_THAT(error(one_stage("resources { workers: 5000 }")),
              StartsWith("stages[0].resources.workers: must be from 1 to 1024, not 5000"));
  EXPECT_THAT(error(one_stage("resources { gpu_memory_gib: -1 }")),
              StartsWith("stages[0].resources.gpu_memory_gib: must be from 0"));
}

}  // namespace
}  // namespace scalelaw::server
