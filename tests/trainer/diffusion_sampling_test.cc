// Paths, objectives and samplers, on networks whose answer is known.
#include "trainer/diffusion/sampling.h"

#include <gtest/gtest.h>

#include "trainer/diffusion/dit.h"
#include "trainer/diffusion/unet.h"
#include "trainer/text.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

constexpr Objective kAll[] = {Objective::kFlowImage, Objective::kFlowVelocity, Objective::kNoise, Objective::kV};

Tensor no_captions(int64_t batch) {
  return torch::full({batch, kCaptionLength}, kPadding, torch::kLong);
}

// What a perfect network says where all images are `image`.
Network perfect(Objective objective, const Tensor& image) {
  return [=](const Tensor& x, const Tensor& time, const Tensor&, CrossAttentionCache*) {
    const PathPoint at = path_at(objective, time[0].item<double>());
    Tensor clean = image.expand_as(x), noise = (x - at.signal * clean) / at.noise;
    if (objective == Objective::kFlowImage) return clean;
    if (objective == Objective::kFlowVelocity) return noise - clean;
    return objective == Objective::kNoise ? noise : at.signal * noise - at.noise * clean;
  };
}

TEST(Flow, SamplingFollowsAConstantVelocityExactly) {
  Tensor noise = torch::randn({2, 4, 3});
  Network constant = [](const Tensor& x, const Tensor&, const Tensor&, CrossAttentionCache*) {
    return torch::full_like(x, 0.5);
  };
  for (auto method : {Sampling::Method::kEuler, Sampling::Method::kDdim}) {
    Sampling sampling{.method = method, .steps = 10};
    EXPECT_TRUE(torch::allclose(sample(constant, Objective::kFlowVelocity, noise, no_captions(2), sampling),
                                noise - 0.5, 1e-4, 1e-5));
  }
}

TEST(Flow, GuidanceExtrapolatesFromTheNullCondition) {
  // 1 with a caption, 0.25 without: guided 0.25 + 3·0.75 = 2.5.
  Network network = [](const Tensor& x, const Tensor&, const Tensor& captions, CrossAttentionCache*) {
    return torch::where(captions.sum(1).view({-1, 1, 1}) > 0, torch::ones_like(x), torch::full_like(x, 0.25));
  };
  Tensor tokens = torch::ones({1, kCaptionLength}, torch::kLong);
  Tensor x = sample(network, Objective::kFlowVelocity, torch::zeros({1, 1, 1}), tokens, {.steps = 1, .guidance = 3});
  EXPECT_NEAR(x.item<double>(), -2.5, 1e-6);
}

TEST(Objective, APerfectNetworkHasNoLoss) {
  torch::manual_seed(1);
  Tensor noise = torch::randn({1, 2, 3}), clean = torch::randn({1, 2, 3});
  for (Objective objective : kAll) {
    Tensor time = training_times(objective, 1, torch::kCPU);
    EXPECT_NEAR(training_loss(objective, perfect(objective, clean), clean, noise, time, no_captions(1)).item<double>(),
                0, 1e-6);
  }
}

TEST(Objective, TimesCoverEveryBin) {
  Tensor flow = training_times(Objective::kFlowImage, 64, torch::kCPU);
  EXPECT_TRUE(torch::equal(((flow - kFirstTime) / (1 - kFirstTime) * 64).floor(), torch::arange(64, torch::kFloat)));
  Tensor steps = training_times(Objective::kNoise, 1000, torch::kCPU);
  EXPECT_TRUE(torch::allclose(steps * 1000, torch::arange(1, 1001, torch::kFloat), 0, 1e-3));
}

TEST(Objective, TheScheduleIsLatentDiffusions) {
  // Π(1 − β) of Stable Diffusion's 1000 steps, from its first to its last.
  EXPECT_NEAR(std::pow(path_at(Objective::kNoise, 0.001).signal, 2), 1 - 0.00085, 1e-12);
  EXPECT_NEAR(std::pow(path_at(Objective::kNoise, 1).signal, 2), 0.0047, 5e-5);
  for (Objective objective : kAll) {
    for (double time : {0.1003, 0.5005, 0.9001}) {
      const double h = 1e-6;
      const PathPoint at = path_at(objective, time), before = path_at(objective, time - h),
                      after = path_at(objective, time + h);
      EXPECT_NEAR(at.signal_slope, (after.signal - before.signal) / (2 * h), 1e-4);
      EXPECT_NEAR(at.noise_slope, (after.noise - before.noise) / (2 * h), 1e-4);
    }
  }
}

TEST(Sampling, APerfectNetworkLeadsEverySamplerToTheImage) {
  torch::manual_seed(2);
  Tensor image = torch::randn({1, 4, 3}), noise = torch::randn({5, 4, 3});
  for (Objective objective : kAll) {
    Network network = perfect(objective, image);
    Sampling ddim{.method = Sampling::Method::kDdim, .steps = 7};
    EXPECT_LT((sample(network, objective, noise, no_captions(5), ddim) - image).abs().max().item<double>(), 1e-3);
    // Euler's error shrinks with the step.
    Sampling euler{.method = Sampling::Method::kEuler, .steps = 500};
    EXPECT_LT((sample(network, objective, noise, no_captions(5), euler) - image).abs().max().item<double>(), 0.1);
  }
}

TEST(Sampling, DdimWithFreshNoiseStillEndsAtTheImage) {
  torch::manual_seed(3);
  Tensor image = torch::randn({1, 4, 3}), noise = torch::randn({5, 4, 3});
  Sampling ancestral{.method = Sampling::Method::kDdim, .steps = 20, .eta = 1};
  Tensor one = sample(perfect(Objective::kV, image), Objective::kV, noise, no_captions(5), ancestral);
  EXPECT_LT((one - image).abs().max().item<double>(), 1e-3);
}

// Both families, with weights that make every connection matter.
std::vector<std::shared_ptr<Denoiser>> denoisers() {
  torch::manual_seed(8);
  Params dit(nlohmann::json{{"width", 32}, {"conditioning", "cross-attention"}, {"adaln", "single"}});
  Params unet(nlohmann::json{{"channels", 16}});
  std::vector<std::shared_ptr<Denoiser>> all = {std::make_shared<DitImpl>(DitParams::read(dit, 16)),
                                                std::make_shared<UnetImpl>(UnetShape::read(unet, 16))};
  torch::NoGradGuard no_grad;
  for (auto& denoiser : all) {
    for (Tensor& parameter : denoiser->parameters()) parameter.add_(torch::randn_like(parameter), 0.1);
  }
  return all;
}

Tensor sampled(Denoiser& denoiser, const Sampling& sampling, int* passes = nullptr, int64_t* rows = nullptr) {
  torch::manual_seed(9);
  std::vector<int64_t> shape = denoiser.layout();
  shape.insert(shape.begin(), 3);
  Tensor noise = torch::randn(shape), tokens = torch::randint(1, 20, {3, kCaptionLength}, torch::kLong);
  Network network = [&](const Tensor& x, const Tensor& time, const Tensor& captions, CrossAttentionCache* cache) {
    if (passes != nullptr) ++*passes;
    if (rows != nullptr) *rows += x.size(0);
    return denoiser.forward(x, time, captions, cache);
  };
  return sample(network, Objective::kFlowImage, noise, tokens, sampling);
}

TEST(TGate, AtTheLastStepItChangesNothing) {
  for (auto& denoiser : denoisers()) {
    Tensor plain = sampled(*denoiser, {.steps = 5});
    EXPECT_TRUE(torch::equal(sampled(*denoiser, {.steps = 5, .gate_step = 5}), plain));
    EXPECT_FALSE(torch::equal(sampled(*denoiser, {.steps = 5, .gate_step = 2}), plain));
  }
}

TEST(TGate, AfterTheGateThereIsOneBranch) {
  for (auto& denoiser : denoisers()) {
    int passes = 0;
    int64_t rows = 0;
    sampled(*denoiser, {.steps = 5, .gate_step = 2}, &passes, &rows);
    EXPECT_EQ(passes, 5);
    EXPECT_EQ(rows, 3 * (2 * 2 + 3));
  }
}

TEST(TGate, KeepsTheMeanOfBothBranchesAndGivesItBackInOrder) {
  CrossAttentionCache cache;
  Tensor first = torch::randn({4, 2}), second = torch::randn({4, 2});
  cache.begin_pass(CrossAttentionCache::Use::kKeep);
  EXPECT_TRUE(torch::equal(cache([&] { return first; }), first));
  cache([&] { return second; });
  cache.begin_pass(CrossAttentionCache::Use::kReuse);
  auto never = []() -> Tensor { throw std::logic_error("attended after the gate"); };
  EXPECT_TRUE(cache(never).allclose((first.slice(0, 0, 2) + first.slice(0, 2)) / 2));
  EXPECT_TRUE(cache(never).allclose((second.slice(0, 0, 2) + second.slice(0, 2)) / 2));
}

}  // namespace
}  // namespace scalelaw::trainer
