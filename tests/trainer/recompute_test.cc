#include "trainer/nn/recompute.h"

#include <gtest/gtest.h>

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

struct TwoLayers {
  torch::nn::Linear first{4, 8}, second{8, 4};
  int64_t passes = 0;
  Tensor operator()(const std::vector<Tensor>& inputs) {
    ++passes;
    return second(torch::dropout(torch::tanh(first(inputs[0] * inputs[1])), 0.5, true));
  }
};

// Gradients of both inputs and all parameters.
std::vector<Tensor> gradients(TwoLayers& network, bool recompute) {
  torch::manual_seed(1);
  Tensor x = torch::randn({5, 4}).requires_grad_(), scale = torch::randn({5, 4}).requires_grad_();
  for (auto* layer : {&network.first, &network.second}) (*layer)->zero_grad();
  Part part = [&](const auto& inputs) { return network(inputs); };
  Tensor y = recompute ? recomputed(part, {x, scale}) : part({x, scale});
  (y * y).sum().backward();
  return {x.grad(),
          scale.grad(),
          network.first->weight.grad(),
          network.first->bias.grad(),
          network.second->weight.grad(),
          network.second->bias.grad()};
}

TEST(Recompute, GivesTheSameGradientsInTwoPasses) {
  torch::manual_seed(0);
  TwoLayers network;
  std::vector<Tensor> expected;
  for (const Tensor& gradient : gradients(network, false)) expected.push_back(gradient.clone());
  network.passes = 0;
  std::vector<Tensor> again = gradients(network, true);
  EXPECT_EQ(network.passes, 2);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(torch::equal(again[i], expected[i])) << i;
}

TEST(Recompute, LeavesTheRandomNumbersAfterItAsTheyWere) {
  torch::manual_seed(0);
  TwoLayers network;
  gradients(network, false);
  Tensor expected = torch::rand({3});
  gradients(network, true);
  EXPECT_TRUE(torch::equal(torch::rand({3}), expected));
}

TEST(Recompute, WithoutGradientsIsOnePass) {
  TwoLayers network;
  torch::NoGradGuard no_grad;
  recomputed([&](const auto& inputs) { return network(inputs); }, {torch::ones({1, 4}), torch::ones({1, 4})});
  EXPECT_EQ(network.passes, 1);
}

}  // namespace
}  // namespace scalelaw::trainer
