// The hand-written kernels against the same formulas in double precision, which take the composed path.
#include "trainer/nn/fused.h"

#include <gtest/gtest.h>

#include "trainer/nn/flops.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;
using Operation = std::function<Tensor(const std::vector<Tensor>&)>;

// Compares output and all gradients of `operation` in float (kernels) and double (composed).
void expect_agreement(const Operation& operation, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> floats, doubles;
  for (const Tensor& input : inputs) {
    floats.push_back(input.to(torch::kFloat).detach().requires_grad_());
    doubles.push_back(input.to(torch::kDouble).detach().requires_grad_());
  }
  Tensor out = operation(floats), expected = operation(doubles);
  ASSERT_LT((out - expected).abs().max().item<double>(), 2e-5);

  Tensor direction = torch::randn_like(expected);
  out.backward(direction.to(torch::kFloat));
  expected.backward(direction);
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(floats[i].grad().defined()) << "input " << i;
    double scale = 1 + doubles[i].grad().abs().max().item<double>();
    EXPECT_LT((floats[i].grad() - doubles[i].grad()).abs().max().item<double>() / scale, 2e-5) << "input " << i;
  }
}

class Fused : public testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(7); }
  static Tensor random(std::vector<int64_t> shape) { return torch::randn(shape, torch::kDouble); }
};

TEST_F(Fused, ModulatedNormAgreesWithItsFormula) {
  expect_agreement([](const auto& in) { return modulated_norm(in[0], in[1], in[2]); },
                   {random({5, 7, 48}), random({5, 48}), random({5, 48})});
}

TEST_F(Fused, ModulatedNormTakesChunksOfAWiderTensor) {
  expect_agreement(
      [](const auto& in) {
        auto parts = in[1].chunk(2, 1);
        return modulated_norm(in[0], parts[0], parts[1]);
      },
      {random({3, 4, 32}), random({3, 64})});
}

TEST_F(Fused, BiasGeluAgreesWithItsFormula) {
  expect_agreement([](const auto& in) { return bias_gelu(in[0], in[1]); }, {3 * random({6, 5, 64}), random({64})});
}

TEST_F(Fused, GeluSurvivesLargeInputs) {
  Tensor x = torch::tensor({-1e4F, -100.0F, 0.0F, 100.0F, 1e4F}).repeat({16, 1}).t().contiguous();
  Tensor y = bias_gelu(x, torch::zeros({16}));
  EXPECT_TRUE(torch::allclose(y, torch::relu(x)));
}

TEST_F(Fused, GatedResidualAgreesWithItsFormula) {
  expect_agreement([](const auto& in) { return gated_residual(in[0], in[1], in[2], in[3]); },
                   {random({4, 9, 32}), random({4, 9, 32}), random({32}), random({4, 32})});
}

struct AttentionCase {
  int64_t tokens, heads, head_width;
  std::vector<int64_t> visible;
  bool normalised;
};

class FusedAttention : public testing::TestWithParam<AttentionCase> {};

TEST_P(FusedAttention, AgreesWithItsFormula) {
  torch::manual_seed(11);
  const AttentionCase& c = GetParam();
  const int64_t width = c.heads * c.head_width;
  std::vector<Tensor> inputs = {torch::randn({3, c.tokens, 3 * width}, torch::kDouble),
                                torch::randn({3 * width}, torch::kDouble)};
  if (c.normalised) inputs.push_back(1 + torch::rand({c.heads}, torch::kDouble));
  expect_agreement(
      [&](const auto& in) { return attention(in[0], in[1], c.heads, c.visible, c.normalised ? in[2] : Tensor()); },
      inputs);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, FusedAttention,
    testing::Values(AttentionCase{16, 2, 32, {}, false}, AttentionCase{16, 4, 8, {}, false},
                    AttentionCase{5, 1, 16, {1, 3, 3, 5, 5}, false}, AttentionCase{16, 2, 16, {}, true},
                    AttentionCase{30, 2, 24,
                                  std::vector<int64_t>{1,  5,  5,  5,  5,  14, 14, 14, 14, 14, 14, 14, 14, 14, 30,
                                                       30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30},
                                  true}));

TEST_F(Fused, AttentionReportsTheFlopsOfItsProducts) {
  Tensor qkv = torch::randn({2, 16, 96}), bias = torch::zeros({96});
  double fused = count_flops([&] { attention(qkv, bias, 2); });
  double composed = count_flops([&] { attention(qkv.to(torch::kDouble), bias.to(torch::kDouble), 2); });
  EXPECT_EQ(fused, 2 * (4.0 * 16 * 16 * 32));
  EXPECT_EQ(fused, composed);
}

}  // namespace
}  // namespace scalelaw::trainer
