#include "trainer/diffusion/dit.h"

#include <gtest/gtest.h>

#include "tests/trainer/parameters.h"
#include "trainer/diffusion/objective.h"
#include "trainer/nn/flops.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

DitParams small(nlohmann::json more = nlohmann::json::object()) {
  nlohmann::json values = {{"width", 32}, {"depth", 3}, {"heads", 2}};
  values.update(more);
  Params params(values);
  return DitParams::read(params, 16);
}

const nlohmann::json kPixart = {{"conditioning", "cross-attention"}, {"adaln", "single"}, {"text_width", 24}};

// Weights far from their initial values, where every connection matters.
void shake(torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  for (Tensor& parameter : module.parameters()) parameter.normal_(0, 0.2);
}

Tensor random_captions(int64_t count) {
  return torch::randint(1, 20, {count, kCaptionLength}, torch::kLong);
}

TEST(Dit, HasTheParametersCountedByHand) {
  Dit dit(small());
  const int64_t w = 32, patch = 48, tokens = 16, depth = 3;
  const int64_t block = (3 * w * w + 3 * w) + (w * w + w) + (4 * w * w + 4 * w) + (4 * w * w + w);
  const int64_t modulation = (6 * depth + 2) * (w * w + w);
  const int64_t time = 2 * (w * w + w), in = patch * w + w, out = w * patch + patch;
  EXPECT_EQ(dit->backbone_params(), depth * block + modulation + time + in + out + tokens * w);

  const int64_t words = Vocabulary::of_scenes(1).size();
  EXPECT_EQ(parameters_of(*dit), dit->backbone_params() + kCaptionLength * words * w + 2 * (w * w + w));
}

TEST(Dit, CountsTheFlopsWorkedOutByHand) {
  Dit dit(small());
  const double w = 32, patch = 48, tokens = 16, depth = 3;
  const double block = tokens * 2 * (12 * w * w) + 4 * tokens * tokens * w;
  const double condition = 2 * (2 * w * w) + 2 * (2 * w * w) + 2 * w * (6 * depth + 2) * w;  // time, text, modulation
  const double ends = tokens * 2 * (2 * patch * w);
  double counted = count_flops([&] {
    dit->forward(torch::randn({5, 16, 48}), torch::rand({5}), torch::zeros({5, kCaptionLength}, torch::kLong));
  });
  EXPECT_EQ(counted, 5 * (depth * block + condition + ends));
}

// Every kind of transformer that the options allow.
class DitShapes : public testing::TestWithParam<nlohmann::json> {};

INSTANTIATE_TEST_SUITE_P(
    Options, DitShapes,
    testing::Values(nlohmann::json::object(), kPixart, nlohmann::json{{"adaln", "single"}},
                    nlohmann::json{{"conditioning", "cross-attention"}, {"mlp_ratio", 2}},
                    nlohmann::json{{"mod_capacity", 0.25}},
                    nlohmann::json{{"conditioning", "cross-attention"}, {"mod_capacity", 0.5}, {"mod_every", 1}}));

TEST_P(DitShapes, CostByShapeIsWhatTheModuleHasAndSpends) {
  const DitParams params = small(GetParam());
  Dit dit(params);
  const ModelCost cost = cost_of(params);
  EXPECT_EQ(parameters_of(*dit), cost.params_total);
  double counted = count_flops([&] { dit->forward(torch::randn({5, 16, 48}), torch::rand({5}), random_captions(5)); });
  EXPECT_EQ(counted, 5 * 2 * cost.macs());
}

// After a backward pass from the same weights and batch.
Dit differentiated(const DitParams& params) {
  torch::manual_seed(3);
  Dit dit(params);
  shake(*dit);
  Tensor tokens = torch::randint(0, 10, {8, kCaptionLength}, torch::kLong);
  Tensor clean = torch::randn({8, 16, 48}), noise = torch::randn({8, 16, 48});
  auto network = [&](const Tensor& x, const Tensor& t, const Tensor& c, CrossAttentionCache*) {
    return dit->forward(x, t, c);
  };
  training_loss(Objective::kFlowImage, network, clean, noise, torch::rand({8}), tokens).backward();
  return dit;
}

TEST_P(DitShapes, RecomputedActivationsGiveTheSameGradients) {
  DitParams params = small(GetParam());
  Dit plain = differentiated(params);
  params.recompute = true;
  expect_same_gradients(*differentiated(params), *plain);
}

TEST_P(DitShapes, GradientReachesEveryParameter) {
  Dit dit = differentiated(small(GetParam()));
  for (const auto& parameter : dit->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().max().item<double>(), 0) << parameter.key();
  }
}

TEST(Dit, PixartHasThePapersSize) {
  for (const Preset& preset : dit_presets()) {
    if (preset.name != "pixart-alpha") continue;
    Params params(preset.params);
    const ModelCost cost = cost_of(DitParams::read(params, 32));
    EXPECT_NEAR(static_cast<double>(cost.params) / 0.61e9, 1, 0.03);
    EXPECT_NEAR(cost.weight_macs / 139e9, 1, 0.03);
    return;
  }
  FAIL() << "no preset pixart-alpha";
}

TEST(Dit, CrossAttentionStartsAsNothingAndThenSeesTheCaption) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(4);
  Dit dit(small(kPixart));
  Tensor x = torch::randn({1, 16, 48}), time = torch::full({1}, 0.5), one = random_captions(1), two = one.flip(1);
  torch::nn::init::normal_(dit->named_parameters()["patch_out.weight"], 0, 0.2);
  EXPECT_TRUE(torch::equal(dit->forward(x, time, one), dit->forward(x, time, two)));
  shake(*dit);
  EXPECT_GT((dit->forward(x, time, one) - dit->forward(x, time, two)).abs().max().item<double>(), 1e-3);
}

TEST(Dit, RoutedAtCapacityOneIsThePlainBlockScaledByTheRoutersWeight) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(6);
  DitParams params = small();
  DitBlock block(params);
  shake(*block);
  Router router(params.width);
  Tensor x = torch::randn({4, 16, 32});
  std::vector<Tensor> modulation;
  for (int i = 0; i < 6; ++i) modulation.push_back(torch::randn({4, 32}));
  auto plain = [&](const Tensor& rows) { return block->forward(rows, modulation.data()); };
  Tensor weights = router(x);
  Tensor routed = route(x, choose(weights, 16), weights, plain);
  EXPECT_TRUE(routed.allclose(x + weights.unsqueeze(2) * (plain(x) - x), 1e-4, 1e-4));
}

TEST(Dit, TokensThatARoutedBlockDoesNotTakePassUnchanged) {
  torch::NoGradGuard no_grad;
  Tensor x = torch::randn({2, 6, 8});
  Tensor weights = torch::tensor({{0.1, 0.9, -1.0, 0.8, 0.2, 0.3}, {5.0, 1.0, 2.0, 3.0, 4.0, 0.0}});
  Tensor places = choose(weights, 2);
  EXPECT_TRUE(torch::equal(places, torch::tensor({{1, 3}, {0, 4}})));
  Tensor out = route(x, places, weights.to(torch::kFloat), [](const Tensor& rows) { return rows + 1; });
  Tensor expected = torch::zeros({2, 6}).scatter(1, places, weights.to(torch::kFloat).gather(1, places));
  EXPECT_TRUE((out - x).allclose(expected.unsqueeze(2).expand_as(x), 1e-5, 1e-5));
}

TEST(Dit, RefusesShapesThatDoNotFit) {
  Params heads(nlohmann::json::object({{"width", 32}, {"heads", 5}})), patch(nlohmann::json::object({{"patch", 5}}));
  EXPECT_THROW(DitParams::read(heads, 16), BadRun);
  EXPECT_THROW(DitParams::read(patch, 16), BadRun);
}

TEST(Patches, AreInvertible) {
  Tensor images = torch::randn({3, 3, 16, 16});
  Tensor patches = patchify(images, 4);
  EXPECT_EQ(patches.sizes(), (std::vector<int64_t>{3, 16, 48}));
  EXPECT_TRUE(torch::equal(unpatchify(patches, 4), images));
  EXPECT_TRUE(torch::equal(patches[1][5].view({3, 4, 4}), images[1].slice(1, 4, 8).slice(2, 4, 8)));
}

}  // namespace
}  // namespace scalelaw::trainer
