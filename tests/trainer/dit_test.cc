#include "trainer/diffusion/dit.h"

#include <gtest/gtest.h>

#include "trainer/diffusion/flow.h"
#include "trainer/nn/flops.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

DitParams small() {
  Params params(nlohmann::json::object({{"width", 32}, {"depth", 3}, {"heads", 2}}));
  return DitParams::read(params, 16);
}

int64_t parameters_of(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
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

TEST(Dit, GradientReachesEveryParameter) {
  torch::manual_seed(3);
  Dit dit(small());
  for (Tensor& parameter : dit->parameters()) parameter.data().normal_(0, 0.2);  // out of the zero initialisation
  Tensor tokens = torch::randint(0, 10, {8, kCaptionLength}, torch::kLong);
  Tensor clean = torch::randn({8, 16, 48}), noise = torch::randn({8, 16, 48});
  flow_loss([&](const auto& x, const auto& t, const auto& c) { return dit->forward(x, t, c); }, clean, noise,
            torch::rand({8}), tokens)
      .backward();
  for (const auto& parameter : dit->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().max().item<double>(), 0) << parameter.key();
  }
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

TEST(Flow, SamplingFollowsAConstantVelocityExactly) {
  Tensor noise = torch::randn({2, 4, 3}), tokens = torch::zeros({2, kCaptionLength}, torch::kLong);
  Velocity constant = [](const Tensor& x, const Tensor&, const Tensor&) { return torch::full_like(x, 0.5); };
  EXPECT_TRUE(torch::allclose(sample_flow(constant, noise, tokens, 10, 3.0), noise - 0.5, 1e-5, 1e-6));
}

TEST(Flow, GuidanceExtrapolatesFromTheNullCondition) {
  Tensor noise = torch::zeros({1, 1, 1}), tokens = torch::ones({1, kCaptionLength}, torch::kLong);
  // 1 with a caption, 0.25 without: guided 0.25 + 3·0.75 = 2.5.
  Velocity velocity = [](const Tensor& x, const Tensor&, const Tensor& captions) {
    return torch::where(captions.sum(1).view({-1, 1, 1}) > 0, torch::ones_like(x), torch::full_like(x, 0.25));
  };
  EXPECT_NEAR(sample_flow(velocity, noise, tokens, 1, 3.0).item<double>(), -2.5, 1e-6);
}

TEST(Flow, TheTrueVelocityHasNoLoss) {
  Tensor clean = torch::randn({4, 2, 3}), noise = torch::randn({4, 2, 3}), time = stratified_times(4, torch::kCPU);
  Tensor tokens = torch::zeros({4, kCaptionLength}, torch::kLong);
  Velocity truth = [&](const Tensor& between, const Tensor& t, const Tensor&) {
    Tensor at = t.view({-1, 1, 1});
    EXPECT_TRUE(torch::allclose(between, (1 - at) * clean + at * noise, 1e-5, 1e-6));
    return noise - clean;
  };
  EXPECT_EQ(flow_loss(truth, clean, noise, time, tokens).item<double>(), 0);
}

TEST(Flow, TimesCoverEveryBin) {
  Tensor time = stratified_times(64, torch::kCPU);
  Tensor bins = (time - kFirstTime) / (1 - kFirstTime) * 64;
  EXPECT_TRUE(torch::equal(bins.floor(), torch::arange(64, torch::kFloat)));
}

}  // namespace
}  // namespace scalelaw::trainer
