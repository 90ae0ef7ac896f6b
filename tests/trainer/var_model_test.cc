#include <cmath>

#include <gtest/gtest.h>

#include "tests/trainer/parameters.h"
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
  options.classes = 1000;
  return options;
}

VarOptions small(int64_t depth) {
  VarOptions options;
  options.depth = depth;
  options.vocabulary = 50;
  return options;
}

VarOptions routed(double capacity, VarOptions::CausalChoice choice = VarOptions::CausalChoice::kAuxiliaryLoss) {
  VarOptions options = small(3);
  options.mixture = {.capacity = capacity, .every = 2};
  options.causal_choice = choice;
  return options;
}

// Weights far from their initial values, where every connection matters.
Var shaken(const VarOptions& options) {
  torch::manual_seed(5);
  Var model(options);
  torch::NoGradGuard no_grad;
  for (Tensor& parameter : model->parameters()) parameter.add_(torch::randn_like(parameter), 0.3);
  model->eval();
  return model;
}
Var shaken(int64_t depth) {
  return shaken(small(depth));
}

Tensor captions(int64_t count) {
  torch::manual_seed(6);
  return torch::randint(1, 10, {count, kCaptionLength}, torch::kLong);
}

TEST(VarParameters, BackboneIsThePapersFormula) {
  for (int64_t depth : {6, 16, 20, 24, 30}) {
    EXPECT_EQ(cost_of(published(depth)).params, 73728 * depth * depth * depth);
  }
}

TEST(VarParameters, TotalsAreThePapersSizes) {
  auto total = [](int64_t depth) { return static_cast<double>(cost_of(published(depth)).params_total); };
  EXPECT_NEAR(total(6) / 1e6, 18.49, 0.01);
  EXPECT_NEAR(total(30) / 1e9, 2.010, 0.001);
}

TEST(VarParameters, APresetIsThePublishedSize) {
  Params params(with_preset(family_of_preset("var-d16"), {{"preset", "var-d16"}}));
  EXPECT_EQ(cost_of(VarOptions::read(params)).params_total, cost_of(published(16)).params_total);
}

std::vector<VarOptions> all_kinds() {
  VarOptions classes = small(2);
  classes.classes = 10;
  return {small(1), small(2), small(3), classes, routed(0.125), routed(0.5, VarOptions::CausalChoice::kPredictor)};
}

TEST(VarParameters, CostByShapeIsWhatTheModuleHasAndSpendsInTraining) {
  for (const VarOptions& options : all_kinds()) {
    Var model(options);
    const ModelCost cost = cost_of(options);
    EXPECT_EQ(parameters_of(*model), cost.params_total);
    VarImpl::Routing routing;
    double counted = count_flops([&] {
      torch::NoGradGuard no_grad;
      model->forward(torch::randn({4, 29, 8}), model->condition(captions(4)), &routing);
    });
    EXPECT_EQ(counted, 4 * 2 * cost.macs());
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

// After a backward pass from the same weights and batch.
Var differentiated(const VarOptions& options) {
  Var model = shaken(options);
  model->train();
  Tensor caption = captions(16);
  VarImpl::Routing routing;
  Tensor logits = model->forward(torch::randn({16, 29, 8}), model->condition(caption), &routing);
  Tensor loss = torch::cross_entropy_loss(logits.flatten(0, 1), torch::randint(50, {16 * 30}, torch::kLong));
  (routing.loss.defined() ? loss + routing.loss : loss).backward();
  return model;
}

TEST(Var, RecomputedActivationsGiveTheSameGradients) {
  std::vector<VarOptions> kinds = all_kinds();
  kinds.push_back(small(3));
  kinds.back().drop_path = 0.5;
  for (VarOptions options : kinds) {
    Var plain = differentiated(options);
    options.recompute = true;
    expect_same_gradients(*differentiated(options), *plain);
  }
}

TEST(Var, GradientReachesEveryParameter) {
  for (const VarOptions& options : all_kinds()) {
    Var model = differentiated(options);
    for (const auto& parameter : model->named_parameters()) {
      ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
      EXPECT_GT(parameter.value().grad().abs().max().item<double>(), 0) << parameter.key();
    }
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
  for (const VarOptions& kind : {small(2), routed(0.5), routed(0.5, VarOptions::CausalChoice::kPredictor)}) {
    Var model = shaken(kind);
    Tensor condition = model->condition(captions(1));
    Tensor ids = torch::randint(50, {1, 30}, torch::kLong);
    Tensor before = model->forward(tokenizer->accumulated_inputs(tokenizer->codes(ids)), condition);
    const Scales& scales = tokenizer->scales();
    for (int64_t k = 0; k < scales.count(); ++k) {
      Tensor changed = ids.clone();
      changed[0][scales.end(k) - 1] = (changed[0][scales.end(k) - 1] + 1) % 50;
      Tensor after = model->forward(tokenizer->accumulated_inputs(tokenizer->codes(changed)), condition);
      Tensor difference = (after - before).abs().amax(2).squeeze(0);  // per token
      // Where blocks are routed, products of other shapes round otherwise.
      EXPECT_LE(difference.slice(0, 0, scales.end(k)).max().item<double>(), kind.mixture.on() ? 1e-4 : 0)
          << "scale " << k;
      if (k + 1 == scales.count()) break;  // nothing is finer
      EXPECT_GT(difference.slice(0, scales.end(k)).min().item<double>(), 0) << "scale " << k;
    }
  }
}

TEST(Var, CachedStepsGiveTheLogitsOfTeacherForcing) {
  torch::NoGradGuard no_grad;
  VarTokenizerOptions options;
  options.vocabulary = 50;
  VarTokenizer tokenizer(options);
  for (const VarOptions& kind : {small(3), routed(0.5), routed(0.5, VarOptions::CausalChoice::kPredictor)}) {
    Var model = shaken(kind);
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
}

TEST(Var, ARoutedBlockOfWeightZeroIsAsIfItWereNotThere) {
  torch::NoGradGuard no_grad;
  VarOptions options = small(2);
  Var plain = shaken(options);
  options.mixture = {.capacity = 1, .every = 2};
  Var mixed = shaken(options);
  for (auto& parameter : plain->named_parameters()) mixed->named_parameters()[parameter.key()].copy_(parameter.value());
  mixed->train();
  mixed->named_parameters()["router1.weight.weight"].zero_();
  // The plain model's second block, closed by its gates.
  const int64_t w = options.width();
  for (int64_t gate : {6 + 2, 6 + 5}) {
    plain->named_parameters()["modulation.weight"].narrow(0, gate * w, w).zero_();
    plain->named_parameters()["modulation.bias"].narrow(0, gate * w, w).zero_();
  }
  Tensor inputs = torch::randn({2, 29, 8}), condition = plain->condition(captions(2));
  EXPECT_TRUE(mixed->forward(inputs, condition).allclose(plain->forward(inputs, condition), 1e-4, 1e-4));
}

TEST(Var, DroppedPathsLeaveTheirSampleAsTheFirstBlocksMadeIt) {
  torch::NoGradGuard no_grad;
  VarOptions options = small(2);
  options.drop_path = 0.5;
  Var model = shaken(options);
  Tensor inputs = torch::randn({1, 29, 8}).expand({64, -1, -1});
  Tensor condition = model->condition(captions(1)).expand({64, -1});
  Tensor plain = model->forward(inputs, condition);
  EXPECT_TRUE(plain.allclose(shaken(2)->forward(inputs, condition), 1e-4, 1e-4));  // evaluation drops nothing
  model->train();
  // Attention and MLP of the second block, each there or not: four outcomes.
  Tensor outcome = model->forward(inputs, condition).flatten(1).sum(1);
  Tensor sorted = std::get<0>(outcome.sort());
  EXPECT_EQ((sorted.slice(0, 1) - sorted.slice(0, 0, 63) > 0.01).sum().item<int64_t>(), 3);
}

TEST(Var, TheRoutersChoiceIsToldWithoutLaterTokensOnceTrained) {
  for (auto choice : {VarOptions::CausalChoice::kAuxiliaryLoss, VarOptions::CausalChoice::kPredictor}) {
    torch::manual_seed(7);
    Var model(routed(0.25, choice));
    model->train();
    Tensor inputs = torch::randn({32, 29, 8});
    torch::optim::Adam optimizer(model->parameters(), 1e-2);
    double accuracy = 0;
    for (int step = 0; step < 150; ++step) {
      VarImpl::Routing routing;
      model->forward(inputs, model->condition(captions(32)), &routing);
      optimizer.zero_grad();
      routing.loss.backward();
      optimizer.step();
      accuracy = routing.accuracy.item<double>();
    }
    EXPECT_GT(accuracy, 0.95);
  }
}

TEST(Var, AClassConditionIsTheObjectThatTheCaptionNames) {
  torch::NoGradGuard no_grad;
  VarOptions options = small(1);
  options.classes = 10;
  Var model = shaken(options);
  auto condition = [&](const char* text) {
    return model->condition(torch::tensor(Vocabulary::of_scenes(1).encode(text, kCaptionLength)).unsqueeze(0));
  };
  EXPECT_TRUE(condition("a red sneaker on a dark background").equal(condition("a sneaker")));
  EXPECT_FALSE(condition("a bag").equal(condition("a sneaker")));
  Tensor table = model->named_parameters()["class.weight"];
  EXPECT_TRUE(condition("").equal(table.slice(0, 10)));
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
  // Of what is kept each as likely as before, whether the row is sorted (top_k) or not.
  Tensor kept = torch::tensor({0.5, 0.3, 0.15, 0.0}, torch::kDouble) / 0.95;
  for (int64_t top_k : {0, 4}) {
    Tensor some = torch::bincount(draw_tokens(logits, top_k, 0.9), {}, 4).to(torch::kDouble) / 2000;
    EXPECT_EQ(some[3].item<double>(), 0) << top_k;
    EXPECT_TRUE(some.allclose(kept, 0, 0.05)) << top_k;
  }
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

TEST(VarPainting, KnownTokensAreTheImagesAndOthersAreDrawn) {
  torch::manual_seed(3);
  VarTokenizerOptions options;
  options.vocabulary = 50;
  VarTokenizer tokenizer(options);
  Var model = shaken(2);
  Tensor images = torch::rand({6, 3, 16, 16}) * 2 - 1;
  auto painted = [&](const Tensor& drawn) {
    const Known known = known_parts(*tokenizer, images, drawn);
    torch::manual_seed(9);
    return sample(*model, *tokenizer, captions(6), {}, &known);
  };
  Tensor all = torch::ones({16, 16}, torch::kBool), none = all.logical_not();
  EXPECT_TRUE(painted(none).equal(tokenizer->encode(images)));
  torch::manual_seed(9);
  EXPECT_TRUE(painted(all).equal(sample(*model, *tokenizer, captions(6), {})));

  // The left half is known, in the last scale its two columns of tokens.
  Tensor right = none.clone();
  right.slice(1, 8).fill_(true);
  const Known known = known_parts(*tokenizer, images, right);
  EXPECT_FALSE(known.tokens.slice(0, 0, 1).any().item<bool>());
  Tensor last = known.tokens.slice(0, 14, 30).view({4, 4});
  EXPECT_TRUE(last.slice(1, 0, 2).all().item<bool>());
  EXPECT_FALSE(last.slice(1, 2).any().item<bool>());
  // Each known token of the last scale is the one nearest to what the scales before left open.
  Tensor ids = painted(right);
  torch::NoGradGuard no_grad;
  Tensor latent = tokenizer->empty_latent(6);
  for (int64_t k = 0; k < 3; ++k) {
    latent = tokenizer->add_scale(
        latent, tokenizer->codes(ids.slice(1, tokenizer->scales().begin(k), tokenizer->scales().end(k))), k);
  }
  Tensor forced = tokenizer->nearest_codes(known.latent - latent, 3);
  EXPECT_TRUE(ids.slice(1, 14).eq(forced).logical_or(last.flatten().logical_not()).all().item<bool>());
}

}  // namespace
}  // namespace scalelaw::trainer
