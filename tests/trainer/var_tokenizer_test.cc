#include "trainer/var/var_tokenizer.h"

#include <gtest/gtest.h>

#include "trainer/data/scenes.h"
#include "trainer/var/families.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

VarTokenizer small_tokenizer() {
  torch::manual_seed(11);
  VarTokenizerOptions options;
  options.vocabulary = 64;
  options.width = 16;
  return VarTokenizer(options);
}

TEST(Scales, TokensLieScaleAfterScale) {
  Scales scales = Scales::parse("1,2,3,4");
  EXPECT_EQ(scales.total(), 30);
  EXPECT_EQ(scales.begin(2), 5);
  EXPECT_EQ(scales.end(2), 14);
  EXPECT_EQ(scales.visible()[4], 5);
  EXPECT_EQ(scales.visible()[5], 14);
  EXPECT_EQ(scales.levels()[29], 3);
}

TEST(Scales, RefusesWhatIsNoGrowingList) {
  for (const char* text : {"", "1,", "1,2,2", "3,2", "0,1", "1;2", "1,x"}) {
    EXPECT_THROW(Scales::parse(text), std::invalid_argument) << text;
  }
}

TEST(VarTokenizer, TheLastScaleMustBeTheLatent) {
  Params params({{"scales", "1,2,4"}, {"resolution", 32}});
  EXPECT_THROW(VarTokenizerOptions::read(params), BadRun);
}

TEST(VarTokenizer, IdsAreTheNearestCodesOfWhatIsLeft) {
  torch::NoGradGuard no_grad;
  VarTokenizer tokenizer = small_tokenizer();
  Tensor latent = torch::randn({3, 8, 4, 4});
  Tensor ids = tokenizer->quantize(latent).ids;
  Tensor all_codes = tokenizer->codes(torch::arange(64));
  Tensor rest = latent.clone();
  for (int64_t k = 0; k < 4; ++k) {
    int64_t side = tokenizer->scales().side(k);
    Tensor pooled = torch::adaptive_avg_pool2d(rest, {side, side}).flatten(2).transpose(1, 2);  // area interpolation
    Tensor expected = torch::cdist(pooled.contiguous(), all_codes.unsqueeze(0)).argmin(2);
    Tensor own = ids.slice(1, tokenizer->scales().begin(k), tokenizer->scales().end(k));
    EXPECT_TRUE(own.equal(expected)) << "scale " << k;
    rest = rest - tokenizer->add_scale(tokenizer->empty_latent(3), tokenizer->codes(own), k);
  }
}

TEST(VarTokenizer, ScalesAddUpToTheQuantizedLatent) {
  torch::NoGradGuard no_grad;
  VarTokenizer tokenizer = small_tokenizer();
  auto quantized = tokenizer->quantize(torch::randn({3, 8, 4, 4}));
  Tensor sum = tokenizer->accumulate(tokenizer->codes(quantized.ids));
  EXPECT_TRUE(sum.allclose(quantized.latent, 1e-4, 1e-5));
}

TEST(VarTokenizer, GradientPassesStraightThroughToTheEncoder) {
  VarTokenizer tokenizer = small_tokenizer();
  Tensor latent = torch::randn({2, 8, 4, 4}).requires_grad_();
  Tensor weight = torch::randn({2, 8, 4, 4});
  (tokenizer->quantize(latent).latent * weight).sum().backward();
  EXPECT_TRUE(latent.grad().allclose(weight));
}

TEST(VarTokenizer, GradientReachesEveryParameter) {
  VarTokenizer tokenizer = small_tokenizer();
  Tensor images = torch::rand({16, 3, 16, 16}) * 2 - 1;
  auto quantized = tokenizer->quantize(tokenizer->encode_latent(images));
  (torch::mse_loss(tokenizer->decode_latent(quantized.latent), images) + quantized.loss).backward();
  for (const auto& parameter : tokenizer->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().max().item<double>(), 0) << parameter.key();
  }
}

TEST(VarTokenizer, TeacherInputsAreTheAccumulatedReconstructions) {
  VarTokenizer tokenizer = small_tokenizer();
  torch::NoGradGuard no_grad;
  Tensor ids = torch::randint(64, {5, 30}, torch::kLong);
  Tensor expected = tokenizer->accumulated_inputs(tokenizer->codes(ids));
  ASSERT_EQ(expected.sizes(), (std::vector<int64_t>{5, 29, 8}));
  EXPECT_TRUE(TeacherInputs(tokenizer)(ids).allclose(expected, 1e-4, 1e-4));
}

TEST(VarTokenizer, UnusedCodesAreRevivedAndUsedOnesStay) {
  VarTokenizer tokenizer = small_tokenizer();
  Tensor before = tokenizer->codes(torch::arange(64)).detach().clone();
  tokenizer->count_usage(torch::arange(32).repeat({1, 10}));
  EXPECT_EQ(tokenizer->counted(), 320);
  tokenizer->revive(torch::rand({16, 3, 16, 16}));
  Tensor after = tokenizer->codes(torch::arange(64)).detach();
  EXPECT_TRUE(after.slice(0, 0, 32).equal(before.slice(0, 0, 32)));
  EXPECT_GT((after - before).slice(0, 32).abs().sum(1).min().item<double>(), 0);
  EXPECT_EQ(tokenizer->counted(), 0);
}

TEST(VarTokenizer, LearnsToReconstructRealScenes) {
  Params params({{"vocabulary", 64}, {"width", 16}});
  torch::manual_seed(1);
  auto family = var_tokenizer_family().make(FamilyContext{params, {}, 1, torch::kCPU, SceneParams()});
  Scenes scenes = Scenes::train(SceneParams(), 1024);
  Scenes held_out = Scenes::held_out(SceneParams(), 256);
  auto error = [&] {
    torch::NoGradGuard no_grad;
    return family->evaluate(held_out, [](double) {});
  };
  family->initialise(scenes.range(0, 256));
  const double before = error().at("val_reconstruction");
  torch::optim::Adam adam(family->module().parameters(), 3e-3);
  for (int64_t step = 0; step < 120; ++step) {
    adam.zero_grad();
    family->loss(scenes.range(step % 32 * 32, 32)).backward();
    adam.step();
  }
  Values after = error();
  EXPECT_LT(after.at("val_reconstruction"), 0.3 * before);
  EXPECT_GT(after.at("codebook_usage"), 0.5);
}

TEST(Discriminator, EachSideOfTheGameMovesItsOwnWeightsAlone) {
  torch::manual_seed(4);
  Discriminator judge(8);
  {
    // Else the pulls of real and fake cancel in the last bias.
    torch::NoGradGuard no_grad;
    judge->named_parameters()["layer3.bias"].fill_(1);
  }
  Tensor real = torch::randn({4, 3, 16, 16}), fake = torch::randn({4, 3, 16, 16}, torch::requires_grad());
  auto [telling, fooling] = judge->losses(real, fake);
  telling.backward();
  EXPECT_FALSE(fake.grad().defined());
  for (const auto& parameter : judge->named_parameters()) {
    EXPECT_GT(parameter.value().grad().abs().max().item<double>(), 0) << parameter.key();
  }
  judge->zero_grad();
  fooling.backward();
  EXPECT_GT(fake.grad().abs().max().item<double>(), 0);
  for (const auto& parameter : judge->named_parameters()) {
    Tensor gradient = parameter.value().grad();
    EXPECT_TRUE(!gradient.defined() || gradient.abs().max().item<double>() == 0) << parameter.key();
  }
}

}  // namespace
}  // namespace scalelaw::trainer
