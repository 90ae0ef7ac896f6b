#include <cmath>

#include <gtest/gtest.h>

#include "trainer/nn/flops.h"
#include "trainer/var/var.h"
#include "trainer/var/var_sampling.h"
#include "trainer/var/var_tokenizer.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

// The published sizes: 256 pixels, ten scales, 4096 codes of 32, one of 1000 classes as the condition.
VarOptions published(int64_t depth) {
  VarOptions options;
  options.depth = depth;
  options.width_per_depth = 64;
  options.scales = Scales({1, 2, 3, 4, 5, 6, 8, 10, 13, 16});
  options.vocabulary = 4096;
  options.code_channels = 32;
  return options;
}

VarOptions small(int64_t depth) {
  VarOptions options;
  options.depth = depth;
  options.vocabulary = 50;
  return options;
}

int64_t parameters_in(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

// Weights far from their initial values, where every connection matters.
Var shaken(int64_t depth) {
  torch::manual_seed(5);
  Var model(small(depth));
  torch::NoGradGuard no_grad;
  for (Tensor& parameter : model->parameters()) parameter.add_(torch::randn_like(parameter), 0.3);
  model->eval();
  return model;
}

Tensor captions(int64_t count) {
  torch::manual_seed(6);
  return torch::randint(1, 10, {count, kCaptionLength}, torch::kLong);
}

TEST(VarParameters, BackboneIsThePapersFormula) {
  for (int64_t depth : {6, 16, 20, 24, 30}) {
    VarOptions options = published(depth);
    EXPECT_EQ(count_parameters(options, 0).backbone, 73728 * depth * depth * depth);
  }
}

TEST(VarParameters, TotalsAreThePapersSizes) {
  auto total = [](int64_t depth) {
    VarOptions options = published(depth);
    return static_cast<double>(count_parameters(options, 1001 * options.width()).total);
  };
  EXPECT_NEAR(total(6) / 1e6, 18.49, 0.01);
  EXPECT_NEAR(total(30) / 1e9, 2.010, 0.001);
}

TEST(VarParameters, FormulaCountsTheRealModules) {
  for (int64_t depth : {1, 2, 3}) {
    VarOptions options = small(depth);
    int64_t condition = parameters_in(*TextEncoder(options.width()));
    EXPECT_EQ(parameters_in(*Var(options)), count_parameters(options, condition).total) << "depth " << depth;
  }
}

TEST(Var, CountsTheFlopsWorkedOutByHand) {
  VarOptions options = small(3);
  Var model(options);
  const double w = 48, tokens = 30, depth = 3;
  const double block = tokens * 2 * (12 * w * w) + 4 * tokens * tokens * w;
  const double condition = 2 * (2 * w * w) + 2 * w * (6 * depth + 2) * w;  // text, modulation
  const double ends = 29 * 2 * (8 * w) + tokens * 2 * (w * 50);
  double counted = count_flops([&] {
    torch::NoGradGuard no_grad;
    model->forward(torch::randn({4, 29, 8}), model->condition(captions(4)));
  });
  EXPECT_EQ(counted, 4 * (depth * block + condition + ends));
}

TEST(Var, GradientReachesEveryParameter) {
  Var model = shaken(2);
  Tensor logits = model->forward(torch::randn({4, 29, 8}), model->condition(captions(4)));
  torch::cross_entropy_loss(logits.flatten(0, 1), torch::randint(50, {120}, torch::kLong)).backward();
  for (const auto& parameter : model->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().max().item<double>(), 0) << parameter.key();
  }
}

TEST(Var, AtTheStartEveryTokenIsNearlyAsLikely) {
  torch::manual_seed(1);
  Var model(small(3));
  Tensor logits = model->forward(torch::randn({8, 29, 8}), model->condition(captions(8)));
  Tensor loss = torch::cross_entropy_loss(logits.flatten(0, 1), torch::randint(50, {240}, torch::kLong));
  EXPECT_NEAR(loss.item<double>(), std::log(50.0), 0.1);
}

TEST(Var, ATokenChangesOnlyTheLogitsOfFinerScales) {
  torch::NoGradGuard no_grad;
  VarTokenizerOptions options;
  options.vocabulary = 50;
  VarTokenizer tokenizer(options);
  Var model = shaken(2);
  Tensor condition = model->condition(captions(1));
  Tensor ids = torch::randint(50, {1, 30}, torch::kLong);
  Tensor before = model->forward(tokenizer->accumulated_inputs(tokenizer->codes(ids)), condition);
  const Scales& scales = tokenizer->scales();
  for (int64_t k = 0; k < scales.count(); ++k) {
    Tensor changed = ids.clone();
    changed[0][scales.end(k) - 1] = (changed[0][scales.end(k) - 1] + 1) % 50;
    Tensor after = model->forward(tokenizer->accumulated_inputs(tokenizer->codes(changed)), condition);
    Tensor difference = (after - before).abs().amax(2).squeeze(0);  // per token
    EXPECT_EQ(difference.slice(0, 0, scales.end(k)).max().item<double>(), 0) << "scale " << k;
    if (k + 1 == scales.count()) break;  // nothing is finer
    EXPECT_GT(difference.slice(0, scales.end(k)).min().item<double>(), 0) << "scale " << k;
  }
}

TEST(Var, CachedStepsGiveTheLogitsOfTeacherForcing) {
  torch::NoGradGuard no_grad;
  VarTokenizerOptions options;
  options.vocabulary = 50;
  VarTokenizer tokenizer(options);
  Var model = shaken(3);
  Tensor condition = model->condition(captions(3));
  Tensor ids = torch::randint(50, {3, 30}, torch::kLong);
  Tensor whole = model->forward(TeacherInputs(tokenizer)(ids), condition);

  Tensor latent = tokenizer->empty_latent(3);
  VarImpl::Cache cache;
  const Scales& scales = tokenizer->scales();
  for (int64_t k = 0; k < scales.count(); ++k) {
    Tensor inputs = k == 0 ? Tensor() : tokenizer->at_scale(latent, k);
    Tensor logits = model->step(inputs, condition, k, cache);
    EXPECT_TRUE(logits.allclose(whole.slice(1, scales.begin(k), scales.end(k)), 1e-3, 1e-3)) << "scale " << k;
    Tensor codes = tokenizer->codes(ids.slice(1, scales.begin(k), scales.end(k)));
    latent = tokenizer->add_scale(latent, codes, k);
  }
}

TEST(VarSampling, TopKAndTopPKeepTheLikeliest) {
  torch::manual_seed(2);
  Tensor logits = torch::tensor({0.5, 0.3, 0.15, 0.05}).log().repeat({2000, 1});
  EXPECT_EQ(draw_tokens(logits, 1, 1).max().item<int64_t>(), 0);
  EXPECT_EQ(draw_tokens(logits, 3, 1).max().item<int64_t>(), 2);
  EXPECT_EQ(draw_tokens(logits, 0, 0.6).max().item<int64_t>(), 1);
  EXPECT_EQ(draw_tokens(logits, 0, 0).max().item<int64_t>(), 0);
  Tensor counts = torch::bincount(draw_tokens(logits, 0, 1), {}, 4).to(torch::kDouble) / 2000;
  EXPECT_TRUE(counts.allclose(torch::tensor({0.5, 0.3, 0.15, 0.05}, torch::kDouble), 0, 0.05));
}

TEST(VarSampling, GuidanceGrowsFromNothingAtTheFirstScale) {
  VarTokenizerOptions options;
  options.vocabulary = 50;
  VarTokenizer tokenizer(options);
  Var model = shaken(2);
  auto first_tokens = [&](double guidance) {
    torch::manual_seed(9);
    return sample(*model, *tokenizer, captions(64), {.guidance = guidance, .top_k = 0, .top_p = 1});
  };
  Tensor plain = first_tokens(0), guided = first_tokens(8);
  EXPECT_TRUE(plain.slice(1, 0, 1).equal(guided.slice(1, 0, 1)));
  EXPECT_FALSE(plain.equal(guided));
  EXPECT_EQ(plain.sizes(), (std::vector<int64_t>{64, 30}));
}

}  // namespace
}  // namespace scalelaw::trainer
