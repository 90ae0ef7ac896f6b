#include "trainer/diffusion/unet.h"

#include <map>

#include <gtest/gtest.h>

#include "tests/trainer/parameters.h"
#include "trainer/diffusion/objective.h"
#include "trainer/family.h"
#include "trainer/nn/flops.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

UnetShape shape_of(nlohmann::json values, int64_t resolution = 16) {
  Params params(std::move(values));
  return UnetShape::read(params, resolution);
}

// As printed: billions of parameters, billions of multiply-adds of a forward pass, percent in attention.
struct Printed {
  double params, macs, attention;
};
const std::map<std::string, Printed> kTable = {{"sd2", {0.87, 86, 39}},          {"sd2-c512", {2.19, 219, 39}},
                                               {"if-xl-c512", {2.04, 194, 12}},  {"if-xl", {3.83, 364, 12}},
                                               {"sdxl-c128", {0.42, 35, 65}},    {"sdxl-c192", {0.90, 75, 65}},
                                               {"sdxl", {2.39, 198, 64}},        {"sdxl-c384", {3.40, 282, 64}},
                                               {"sdxl-td2", {0.85, 98, 44}},     {"sdxl-td4", {1.24, 123, 52}},
                                               {"sdxl-td12", {2.78, 223, 66}},   {"sdxl-td14", {3.16, 248, 68}},
                                               {"sdxl-td4-4", {1.32, 143, 59}},  {"sdxl-td4-8", {2.09, 193, 64}},
                                               {"sdxl-td4-12", {2.86, 243, 69}}, {"sdxl-c384-td4-12", {4.07, 346, 69}}};

TEST(UnetPresets, HaveThePapersParametersMacsAndShareOfAttention) {
  size_t found = 0;
  for (const Preset& preset : unet_presets()) {
    auto printed = kTable.find(preset.name);
    if (printed == kTable.end()) continue;
    ++found;
    const ModelCost cost = cost_of(shape_of(preset.params, preset.params["resolution"]));
    EXPECT_NEAR(static_cast<double>(cost.params) / 1e9 / printed->second.params, 1, 0.01) << preset.name;
    EXPECT_NEAR(cost.weight_macs / 1e9 / printed->second.macs, 1, 0.01) << preset.name;
    EXPECT_NEAR(100 * cost.attention_share(), printed->second.attention, 1.1) << preset.name;
  }
  EXPECT_EQ(found, kTable.size());
}

TEST(UnetPresets, SmallOnesTakeScenesAndPublishedOnesSayWhyNot) {
  for (const Preset& preset : unet_presets()) {
    const UnetShape shape = shape_of(preset.params, preset.params.value("resolution", 16));
    EXPECT_EQ(takes_data(shape.image_channels, shape.text_length, {}), !kTable.contains(preset.name)) << preset.name;
  }
  nlohmann::json published = with_preset(family_of_preset("sdxl"), {{"preset", "sdxl"}});
  EXPECT_THROW(Unet(shape_of(published, 32)), BadRun);
}

class UnetShapes : public testing::TestWithParam<nlohmann::json> {};

INSTANTIATE_TEST_SUITE_P(
    Kinds, UnetShapes,
    testing::Values(nlohmann::json{{"channels", 16}},
                    nlohmann::json{{"channels", 32}, {"res_blocks", 2}, {"transformer_depth", "1,2"}},
                    nlohmann::json{{"channels", 16}, {"multipliers", "1,2,4"}, {"transformer_depth", "0,1,3"}},
                    nlohmann::json{
                        {"channels", 16}, {"multipliers", "1,2,2"}, {"transformer_depth", "1,1,0"}, {"head_width", 16}},
                    nlohmann::json{{"channels", 16}, {"attention", "added-kv"}, {"head_width", 16}}));

TEST_P(UnetShapes, CostByShapeIsWhatTheModuleHasAndSpends) {
  const UnetShape shape = shape_of(GetParam());
  Unet unet(shape);
  const ModelCost cost = cost_of(shape);
  EXPECT_EQ(parameters_of(*unet), cost.params_total);
  double counted = count_flops([&] {
    torch::NoGradGuard no_grad;
    unet->forward(torch::randn({3, 3, 16, 16}), torch::rand({3}), torch::zeros({3, kCaptionLength}, torch::kLong));
  });
  EXPECT_EQ(counted, 3 * 2 * cost.macs());
}

// After a backward pass from the same weights and batch.
Unet differentiated(const UnetShape& shape) {
  torch::manual_seed(3);
  Unet unet(shape);
  {
    torch::NoGradGuard no_grad;  // out of the zero initialisation
    for (Tensor& parameter : unet->parameters()) parameter.add_(torch::randn_like(parameter), 0.1);
  }
  auto network = [&](const Tensor& x, const Tensor& t, const Tensor& c, CrossAttentionCache*) {
    return unet->forward(x, t, c);
  };
  training_loss(Objective::kNoise, network, torch::randn({4, 3, 16, 16}), torch::randn({4, 3, 16, 16}),
                torch::rand({4}).clamp_min(0.1), torch::randint(1, 20, {4, kCaptionLength}, torch::kLong))
      .backward();
  return unet;
}

TEST_P(UnetShapes, RecomputedActivationsGiveTheSameGradients) {
  UnetShape shape = shape_of(GetParam());
  Unet plain = differentiated(shape);
  shape.recompute = true;
  expect_same_gradients(*differentiated(shape), *plain);
}

TEST_P(UnetShapes, GradientReachesEveryParameter) {
  Unet unet = differentiated(shape_of(GetParam()));
  for (const auto& parameter : unet->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().max().item<double>(), 0) << parameter.key();
  }
}

TEST(Unet, RefusesShapesThatDoNotFit) {
  EXPECT_THROW(shape_of({{"transformer_depth", "0,1,1"}}), BadRun);
  EXPECT_THROW(shape_of({{"multipliers", "1,2,2,2,2,2"}, {"transformer_depth", "0,0,0,0,0,1"}}), BadRun);
  EXPECT_THROW(shape_of({{"channels", 17}, {"head_width", 17}}), BadRun);
  EXPECT_THROW(shape_of({{"channels", 32}, {"head_width", 24}}), BadRun);
  EXPECT_THROW(shape_of({{"multipliers", "1,two"}}), BadRun);
}

}  // namespace
}  // namespace scalelaw::trainer
