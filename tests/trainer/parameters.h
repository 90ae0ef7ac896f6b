// What tests ask of a module's parameters.
#pragma once

#include <cstdint>

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace scalelaw::trainer {

inline int64_t parameters_of(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

/// But for the rounding of sums in another order.
inline void expect_same_gradients(const torch::nn::Module& module, const torch::nn::Module& reference) {
  const auto expected = reference.named_parameters();
  for (const auto& parameter : module.named_parameters()) {
    const torch::Tensor gradient = parameter.value().grad(), other = expected[parameter.key()].grad();
    ASSERT_TRUE(gradient.defined()) << parameter.key();
    const auto difference = (gradient - other).abs().max().item<double>();
    EXPECT_LE(difference, 1e-5 * other.abs().max().item<double>()) << parameter.key();
  }
}

}  // namespace scalelaw::trainer
