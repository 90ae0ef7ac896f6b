// The real program under the trainer protocol: budgets, resuming, and every way to end.
#include <csignal>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "trainer/artifact.h"
#include "trainer/data/picture.h"
#include "trainer/text.h"
#include "trainer_process.h"

namespace scalelaw::trainer {
namespace {

using nlohmann::json;

json tiny_dit(json params = json::object(), json budget = {{"steps", 40}}) {
  json all = {{"width", 16}, {"depth", 1}, {"heads", 1}, {"batch", 16}, {"metrics_every", 3}, {"unique_images", 500}};
  all.update(params);
  return {{"params", all}, {"budget", budget}, {"seed", 3}};
}

// Step -> loss, after the protocol's rule: a start at step s replaces the points after s.
std::map<int64_t, double> loss_curve(const TrainerRun& run) {
  std::map<int64_t, double> curve;
  for (const json& event : run.events()) {
    if (event["event"] == "start") curve.erase(curve.upper_bound(event["step"]), curve.end());
    if (event["event"] == "metrics") curve[event["step"]] = event["values"]["loss"];
  }
  return curve;
}

bool has_metrics_at(const std::vector<json>& events, int64_t step) {
  return std::any_of(events.begin(), events.end(),
                     [&](const json& e) { return e["event"] == "metrics" && e["step"] >= step; });
}

TEST(Run, ReportsEverythingTheProtocolAsksFor) {
  TrainerRun run(tiny_dit());
  Ended ended = run.run("diffusion-dit");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;

  json start = run.events("start").at(0);
  EXPECT_EQ(start["step"], 0);
  EXPECT_GT(start["params_total"], start["params"]);
  const double per_sample = start["flops_per_sample"];
  EXPECT_GT(per_sample, 0);
  for (const json& event : run.events("metrics")) {
    EXPECT_EQ(event["samples"], event["step"].get<int64_t>() * 16);
    EXPECT_DOUBLE_EQ(event["flops"], event["samples"].get<double>() * per_sample);
  }
  json last = run.events("metrics").back();
  EXPECT_EQ(last["step"], 40);
  EXPECT_GT(last["values"]["val_loss"], 0);
  json artifact = run.events("artifact").at(0);
  EXPECT_TRUE(std::filesystem::exists(run.path(artifact["path"])));
  EXPECT_EQ(run.events("progress").back()["fraction"], 1.0);
}

TEST(Run, HonoursABudgetInFlopsWithinOneBatch) {
  TrainerRun run(tiny_dit(json::object(), {{"flops", 3e8}}));
  ASSERT_EQ(run.run("diffusion-dit").exit_code, 0);
  const double spent = run.events("metrics").back()["flops"];
  const double batch = run.events("start").at(0)["flops_per_sample"].get<double>() * 16;
  EXPECT_LE(spent, 3e8);
  EXPECT_GT(spent, 3e8 - batch);
}

TEST(Run, HonoursABudgetInSamples) {
  TrainerRun run(tiny_dit(json::object(), {{"samples", 330}}));
  ASSERT_EQ(run.run("diffusion-dit").exit_code, 0);
  EXPECT_EQ(run.events("metrics").back()["samples"], 320);
}

TEST(Run, TerminatedInTheMiddleAndResumedGivesTheUninterruptedCurveBitForBit) {
  json spec = tiny_dit(json::object(), {{"steps", 600}});
  TrainerRun whole(spec), parted(spec);
  ASSERT_EQ(whole.run("diffusion-dit").exit_code, 0);

  auto early = [](const auto& events) { return has_metrics_at(events, 60); };
  Ended first = parted.run("diffusion-dit", early, SIGTERM);
  ASSERT_EQ(first.exit_code, 75) << first.errors;
  const int64_t saved = parted.events("checkpoint").back()["step"];
  ASSERT_LT(saved, 600);
  ASSERT_EQ(parted.run("diffusion-dit").exit_code, 0);

  EXPECT_EQ(parted.events("start").back()["step"], saved);
  EXPECT_EQ(loss_curve(parted), loss_curve(whole));
  EXPECT_EQ(parted.events("metrics").back()["values"], whole.events("metrics").back()["values"]);
}

TEST(Run, KilledAndResumedFromItsPeriodicCheckpointGivesTheSameCurve) {
  json spec = tiny_dit({{"checkpoint_seconds", 0.05}}, {{"steps", 600}});
  TrainerRun whole(spec), parted(spec);
  ASSERT_EQ(whole.run("diffusion-dit").exit_code, 0);
  auto saved_once = [](const auto& events) {
    return has_metrics_at(events, 30) &&
           std::any_of(events.begin(), events.end(), [](const json& e) { return e["event"] == "checkpoint"; });
  };
  ASSERT_EQ(parted.run("diffusion-dit", saved_once, SIGKILL).exit_code, -SIGKILL);
  ASSERT_EQ(parted.run("diffusion-dit").exit_code, 0);
  EXPECT_GT(parted.events("start").back()["step"], 0);
  EXPECT_EQ(loss_curve(parted), loss_curve(whole));
}

TEST(Run, ADivergedLossEndsWith65AndSaysWhatToDo) {
  TrainerRun run(tiny_dit({{"learning_rate", 1}, {"weight_decay", 10}}, {{"steps", 2000}}));
  Ended ended = run.run("diffusion-dit");
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_NE(ended.errors.find("diverged at step"), std::string::npos) << ended.errors;
  EXPECT_NE(ended.errors.find("learning_rate"), std::string::npos) << ended.errors;
}

TEST(Run, AUnetTrainsOnScenesFromItsPresetWithTGate) {
  json params = {{"preset", "unet-c16-td0-1"}, {"batch", 8}, {"unique_images", 100}, {"objective", "v"}};
  params.update({{"sampler_steps", 4}, {"tgate_step", 2}});
  TrainerRun run({{"params", params}, {"budget", {{"steps", 8}}}, {"seed", 3}});
  Ended ended = run.run("diffusion-unet");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  json values = run.events("metrics").back()["values"];
  EXPECT_GT(values["val_loss"], 0);
  EXPECT_GT(values["sampling_macs"], 0.5 * values["sampling_macs_ungated"].get<double>());
  EXPECT_LT(values["sampling_macs"], 0.75 * values["sampling_macs_ungated"].get<double>());

  TrainerRun published({{"params", {{"preset", "sdxl-c128"}}}, {"budget", {{"steps", 1}}}, {"seed", 3}});
  Ended refused = published.run("diffusion-unet");
  EXPECT_EQ(refused.exit_code, 65);
  EXPECT_NE(refused.errors.find("can be described only"), std::string::npos) << refused.errors;

  TrainerRun pooled(tiny_dit({{"tgate_step", 2}}));
  EXPECT_NE(pooled.run("diffusion-dit").errors.find("tgate_step: T-GATE needs cross-attention"), std::string::npos);
}

TEST(Run, OptionsMayComeBeforeTheFamily) {
  Ended ended = TrainerRun(tiny_dit()).run("--set batch=8 --input scorer=scorer.pt describe diffusion-dit");
  EXPECT_EQ(ended.exit_code, 0) << ended.errors;
}

TEST(Run, RecomputedActivationsGiveTheSameCurve) {
  TrainerRun plain(tiny_dit()), recomputing(tiny_dit({{"recompute", true}}));
  ASSERT_EQ(plain.run("diffusion-dit").exit_code, 0);
  Ended ended = recomputing.run("diffusion-dit");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  EXPECT_EQ(loss_curve(recomputing), loss_curve(plain));
}

TEST(Run, EvaluatesTheNewestWeightsBesideTheirAverageOnRequest) {
  TrainerRun plain(tiny_dit()), both(tiny_dit({{"evaluate", "both"}}));
  ASSERT_EQ(plain.run("diffusion-dit").exit_code, 0);
  ASSERT_EQ(both.run("diffusion-dit").exit_code, 0);
  json values = both.events("metrics").back()["values"];
  EXPECT_EQ(values["val_loss"], plain.events("metrics").back()["values"]["val_loss"]);
  EXPECT_NE(values["val_loss"], values["val_loss_without_ema"]);
}

TEST(Run, LeavesGridsOfSamplesAndTrainsOnAsWithoutThem) {
  TrainerRun plain(tiny_dit()), drawing(tiny_dit({{"sample_grids", 2}, {"sampler_steps", 1}}));
  ASSERT_EQ(plain.run("diffusion-dit").exit_code, 0);
  Ended ended = drawing.run("diffusion-dit");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  EXPECT_EQ(loss_curve(drawing), loss_curve(plain));
  std::vector<json> artifacts = drawing.events("artifact");
  ASSERT_EQ(artifacts.size(), 3);
  EXPECT_EQ(artifacts[0]["path"], "samples/step-00000020.png");
  EXPECT_EQ(artifacts[1]["kind"], "image");
  std::ifstream file(drawing.path(artifacts[1]["path"]), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(decode_picture(bytes, 1).width, 8 * 17 - 1);
  EXPECT_TRUE(std::filesystem::exists(drawing.path("samples/captions.txt")));
}

TEST(Run, BadParametersEndWith65AndOneLine) {
  const std::vector<std::pair<json, std::string>> cases = {
      {json::object({{"width", "wide"}}), "width: must be a whole number"},
      {json::object({{"widht", 64}}), "widht: no such parameter"},
      {json::object({{"heads", 3}}), "heads: must divide"},
  };
  for (const auto& [params, message] : cases) {
    TrainerRun run(tiny_dit(params));
    Ended ended = run.run("diffusion-dit");
    EXPECT_EQ(ended.exit_code, 65);
    EXPECT_NE(ended.errors.find(message), std::string::npos) << ended.errors;
    EXPECT_EQ(std::count(ended.errors.begin(), ended.errors.end(), '\n'), 1) << ended.errors;
  }
  TrainerRun run(tiny_dit());
  EXPECT_EQ(run.run("diffusion").exit_code, 65);
}

TEST(Run, AMissingInputNamesItAndItsPath) {
  json spec = tiny_dit();
  spec["inputs"] = {{"scorer", "/nowhere/scorer.pt"}};
  TrainerRun run(spec);
  Ended ended = run.run("diffusion-dit");
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_NE(ended.errors.find("inputs.scorer: no file /nowhere/scorer.pt"), std::string::npos) << ended.errors;
}

TEST(Run, AFullDiskUnderTheEventsIsAnErrorThatNamesTheCause) {
  TrainerRun run(tiny_dit());
  run.use_events("/dev/full");
  Ended ended = run.run("diffusion-dit");
  EXPECT_EQ(ended.exit_code, 74);
  EXPECT_NE(ended.errors.find("cannot write /dev/full: No space left on device"), std::string::npos) << ended.errors;
}

TEST(Run, ACheckpointThatCannotBeWrittenKeepsTheLastGoodOne) {
  json spec = tiny_dit({{"checkpoint_seconds", 0.05}}, {{"steps", 400}});
  TrainerRun run(spec);
  auto saved_once = [](const auto& events) { return !events.empty() && events.back()["event"] == "checkpoint"; };
  run.run("diffusion-dit", saved_once, SIGTERM);
  const auto good = std::filesystem::file_size(run.path("checkpoints/checkpoint.pt"));

  // Files of at most 50 blocks of 1 KiB: enough for the events, not for a checkpoint.
  Ended ended = run.run("diffusion-dit", {}, 0, "ulimit -f 50;");
  EXPECT_EQ(ended.exit_code, 74) << ended.errors;
  EXPECT_NE(ended.errors.find("cannot write"), std::string::npos) << ended.errors;
  EXPECT_EQ(std::filesystem::file_size(run.path("checkpoints/checkpoint.pt")), good);
  EXPECT_FALSE(std::filesystem::exists(run.path("checkpoints/checkpoint.pt.part")));
  EXPECT_EQ(run.run("diffusion-dit").exit_code, 0);
}

TEST(Run, ACheckpointOfAnotherRunIsRefused) {
  TrainerRun run(tiny_dit(json::object(), {{"steps", 600}}));
  auto early = [](const auto& events) { return has_metrics_at(events, 9); };
  ASSERT_EQ(run.run("diffusion-dit", early, SIGTERM).exit_code, 75);
  TrainerRun other(tiny_dit({{"width", 32}}));
  std::filesystem::copy(run.path("checkpoints"), other.path("checkpoints"));
  Ended ended = other.run("diffusion-dit");
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_NE(ended.errors.find("checkpoint of another run"), std::string::npos) << ended.errors;
}

TEST(Run, ADamagedCheckpointStartsAfreshWithAWarning) {
  TrainerRun run(tiny_dit(json::object(), {{"steps", 600}}));
  auto early = [](const auto& events) { return has_metrics_at(events, 9); };
  ASSERT_EQ(run.run("diffusion-dit", early, SIGTERM).exit_code, 75);
  std::filesystem::resize_file(run.path("checkpoints/checkpoint.pt"), 1000);
  Ended ended = run.run("diffusion-dit");
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_NE(ended.errors.find("damaged"), std::string::npos) << ended.errors;
  EXPECT_EQ(run.events("start").back()["step"], 0);
}

TEST(Run, AFrozenTextEncoderStaysThatOfTheModelItCameFrom) {
  TrainerRun first(tiny_dit());
  ASSERT_EQ(first.run("diffusion-dit").exit_code, 0);
  json spec = tiny_dit({{"text_encoder", "frozen"}, {"depth", 2}});
  EXPECT_NE(TrainerRun(spec).run("diffusion-dit").errors.find("inputs.text must name"), std::string::npos);
  spec["inputs"] = {{"text", first.path("model.pt")}};
  TrainerRun frozen(spec);
  Ended ended = frozen.run("diffusion-dit");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  spec["params"]["text_encoder"] = "trained";
  TrainerRun trained(spec);
  ASSERT_EQ(trained.run("diffusion-dit").exit_code, 0);
  auto encoder = [](const TrainerRun& run) {
    TextEncoder text(16);
    load_submodule(run.path("model.pt"), "text", *text);
    return torch::nn::utils::parameters_to_vector(text->parameters());
  };
  EXPECT_TRUE(torch::equal(encoder(frozen), encoder(first)));
  EXPECT_FALSE(torch::equal(encoder(trained), encoder(first)));

  spec["params"]["width"] = 32;
  EXPECT_NE(TrainerRun(spec).run("diffusion-dit").errors.find("its text part has another shape"), std::string::npos);
}

TEST(Run, AScorerLearnsAndScoresADiffusionRun) {
  TrainerRun scorer({{"params", {{"width", 8}, {"learning_rate", 0.01}}}, {"budget", {{"samples", 12000}}}});
  Ended trained = scorer.run("scorer");
  ASSERT_EQ(trained.exit_code, 0) << trained.errors;
  json accuracy = scorer.events("metrics").back()["values"];
  EXPECT_GT(accuracy["accuracy_colour"], 0.9);
  EXPECT_GT(accuracy["accuracy_object"], 0.5);

  json spec = tiny_dit({{"sampler_steps", 2}});
  spec["inputs"] = {{"scorer", scorer.path("scorer.pt")}};
  TrainerRun run(spec);
  Ended ended = run.run("diffusion-dit");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  json values = run.events("metrics").back()["values"];
  EXPECT_NEAR(values["alignment_chance"], (1.0 / 10 + 1.0 / 6 + 1.0 / 2) / 3, 1e-9);
  EXPECT_GT(values["alignment_ceiling"], 0.7);
  EXPECT_LT(values["alignment"], values["alignment_ceiling"]);
  EXPECT_GT(values["scorer_fd"], 0);
  EXPECT_GE(values["scorer_recall"], 0);
  EXPECT_LE(values["scorer_recall"], 1);

  spec["params"]["objects"] = 2;
  Ended other_scenes = TrainerRun(spec).run("diffusion-dit");
  EXPECT_EQ(other_scenes.exit_code, 65);
  EXPECT_NE(other_scenes.errors.find("needed are 16 and 2"), std::string::npos) << other_scenes.errors;

  spec["params"].erase("objects");
  spec["inputs"]["scorer"] = run.path("model.pt");
  Ended wrong = TrainerRun(spec).run("diffusion-dit");
  EXPECT_EQ(wrong.exit_code, 65);
  EXPECT_NE(wrong.errors.find("made by family diffusion-dit, needed is scorer"), std::string::npos) << wrong.errors;
}

TEST(Run, TwoObjectsAreAskedAboutTheirRelationAndGuessingIsWorseThanTheScorer) {
  json scenes = {{"objects", 2}, {"resolution", 16}, {"unique_images", 4000}};
  json params = {{"width", 8}, {"learning_rate", 0.01}};
  params.update(scenes);
  TrainerRun scorer({{"params", params}, {"budget", {{"samples", 16000}}}});
  Ended trained = scorer.run("scorer");
  ASSERT_EQ(trained.exit_code, 0) << trained.errors;
  EXPECT_GT(scorer.events("metrics").back()["values"]["accuracy_relation"], 0.8);

  json spec = tiny_dit({{"sampler_steps", 2}});
  spec["params"].update(scenes);
  spec["inputs"] = {{"scorer", scorer.path("scorer.pt")}};
  TrainerRun run(spec);
  Ended ended = run.run("diffusion-dit");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  json values = run.events("metrics").back()["values"];
  for (const char* name : {"alignment_object", "alignment_colour", "alignment_background", "alignment_relation"}) {
    EXPECT_TRUE(values.contains(name)) << name;
  }
  // Two guesses may be matched either way: better than one in ten, six, two and four.
  EXPECT_GT(values["alignment_chance"], (2 * 0.1 + 2 / 6.0 + 0.5 + 0.25) / 6);
  EXPECT_LT(values["alignment_chance"], 0.35);
  EXPECT_GT(values["alignment_ceiling"], values["alignment_chance"].get<double>() + 0.1);
}

TEST(Run, AnExternalScorersFiguresAreTheRuns) {
  TrainerRun run(tiny_dit({{"sampler_steps", 1}, {"score_command", {"sh", "-c", "wc -l < \"$0/captions.jsonl\""}}}));
  Ended ended = run.run("diffusion-dit");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  json values = run.events("metrics").back()["values"];
  EXPECT_EQ(values["external_score"], 1024);
  EXPECT_EQ(values["external_score_real"], 1024);
}

}  // namespace
}  // namespace scalelaw::trainer
