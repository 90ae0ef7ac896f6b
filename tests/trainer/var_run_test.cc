// Tokenizer and VAR through the real program, one after the other as a sweep's stages run them.
#include <cmath>
#include <csignal>

#include <gtest/gtest.h>

#include "trainer_process.h"

namespace scalelaw::trainer {
namespace {

using nlohmann::json;

json tokenizer_spec(int64_t steps) {
  json params = {{"vocabulary", 16}, {"width", 16}, {"batch", 16}, {"unique_images", 500}, {"metrics_every", 5}};
  return {{"params", params}, {"budget", {{"steps", steps}}}, {"seed", 3}};
}

json var_spec(const json& inputs) {
  json params = {{"depth", 1}, {"batch", 16}, {"unique_images", 500}};
  return {{"params", params}, {"budget", {{"steps", 60}}}, {"seed", 3}, {"inputs", inputs}};
}

TEST(VarRun, ATokenizerThenAVarReportTheFiguresOfThePaper) {
  TrainerRun tokenizer(tokenizer_spec(60));
  Ended trained = tokenizer.run("var-tokenizer");
  ASSERT_EQ(trained.exit_code, 0) << trained.errors;
  json values = tokenizer.events("metrics").back()["values"];
  EXPECT_GT(values["val_reconstruction"], 0);
  EXPECT_GT(values["codebook_usage"], 0);

  TrainerRun var(var_spec({{"tokenizer", tokenizer.path("tokenizer.pt").string()}}));
  Ended ended = var.run("var");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  EXPECT_EQ(var.events("start").at(0)["params"], 18 * 16 * 16);
  values = var.events("metrics").back()["values"];
  for (const char* name : {"loss_last", "loss_avg"}) {
    EXPECT_GT(values[name], 0) << name;
    EXPECT_LT(values[name], std::log(16.0)) << name;  // better than guessing
  }
  for (const char* name : {"err_last", "err_avg"}) {
    EXPECT_GT(values[name], 0) << name;
    EXPECT_LT(values[name], 15.0 / 16) << name;
  }
  EXPECT_EQ(values["val_loss"], values["loss_avg"]);

  json spec = var_spec({{"tokenizer", tokenizer.path("tokenizer.pt").string()}});
  spec["params"]["recompute"] = true;
  TrainerRun recomputing(spec);
  ASSERT_EQ(recomputing.run("var").exit_code, 0);
  EXPECT_EQ(recomputing.events("metrics").back()["values"], values);
}

TEST(VarRun, ATokenizerResumesWithItsCodesAndTheirUse) {
  TrainerRun whole(tokenizer_spec(300)), parted(tokenizer_spec(300));
  ASSERT_EQ(whole.run("var-tokenizer").exit_code, 0);
  auto early = [](const auto& events) {
    return std::any_of(events.begin(), events.end(), [](const json& e) { return e["event"] == "metrics"; });
  };
  ASSERT_EQ(parted.run("var-tokenizer", early, SIGTERM).exit_code, 75);
  ASSERT_EQ(parted.run("var-tokenizer").exit_code, 0);
  ASSERT_LT(parted.events("start").back()["step"], 300);
  EXPECT_EQ(parted.events("metrics").back()["values"], whole.events("metrics").back()["values"]);
}

TEST(VarRun, WithoutATokenizerItSaysWhatIsMissing) {
  TrainerRun var(var_spec(json::object()));
  Ended ended = var.run("var");
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_NE(ended.errors.find("inputs.tokenizer"), std::string::npos) << ended.errors;
}

TEST(VarRun, AnotherFamilysArtifactIsNoTokenizer) {
  TrainerRun tokenizer(tokenizer_spec(5));
  ASSERT_EQ(tokenizer.run("var-tokenizer").exit_code, 0);
  TrainerRun first(var_spec({{"tokenizer", tokenizer.path("tokenizer.pt").string()}}));
  ASSERT_EQ(first.run("var").exit_code, 0);
  TrainerRun second(var_spec({{"tokenizer", first.path("model.pt").string()}}));
  Ended ended = second.run("var");
  EXPECT_EQ(ended.exit_code, 65);
  EXPECT_NE(ended.errors.find("model.pt"), std::string::npos) << ended.errors;
}

TEST(VarRun, ATokenizerWithAllItsLossesTrainsAndServesAVarWithMixtureOfDepthsAndPainting) {
  TrainerRun scorer({{"params", {{"width", 8}, {"learning_rate", 0.01}}}, {"budget", {{"samples", 6000}}}});
  ASSERT_EQ(scorer.run("scorer").exit_code, 0);
  json spec = tokenizer_spec(40);
  spec["params"].update({{"adversarial_weight", 0.1}, {"feature_weight", 0.1}});
  Ended without = TrainerRun(spec).run("var-tokenizer");
  EXPECT_EQ(without.exit_code, 65);
  EXPECT_NE(without.errors.find("feature_weight: needs the artifact `scorer`"), std::string::npos) << without.errors;

  spec["inputs"] = {{"scorer", scorer.path("scorer.pt").string()}};
  TrainerRun tokenizer(spec);
  Ended trained = tokenizer.run("var-tokenizer");
  ASSERT_EQ(trained.exit_code, 0) << trained.errors;
  json values = tokenizer.events("metrics").back()["values"];
  for (const char* name : {"feature_loss", "discriminator_loss", "codebook_usage"}) EXPECT_GT(values[name], 0) << name;

  json var =
      var_spec({{"tokenizer", tokenizer.path("tokenizer.pt").string()}, {"scorer", scorer.path("scorer.pt").string()}});
  var["params"].update({{"depth", 2}, {"mod_capacity", 0.25}, {"mod_causal", "predictor"}, {"painting", "inside"}});
  TrainerRun run(var);
  Ended ended = run.run("var");
  ASSERT_EQ(ended.exit_code, 0) << ended.errors;
  values = run.events("metrics").back()["values"];
  for (const char* name : {"router_accuracy", "alignment_painting", "val_loss"}) EXPECT_GT(values[name], 0) << name;
}

}  // namespace
}  // namespace scalelaw::trainer
