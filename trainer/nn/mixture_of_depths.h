// Mixture-of-Depths (Raposo et al. 2024, arXiv 2404.02258): a router gives every token a weight, and only the tokens of
// the largest weights go through a block; the others pass by on the residual stream. How many is fixed, so that shapes,
// and FLOPs, are known beforehand.
#pragma once

#include <cstdint>
#include <functional>

#include <torch/torch.h>

#include "trainer/params.h"

namespace scalelaw::trainer {

struct MixtureOfDepths {
  /// Share of the tokens that a routed block takes; 0: no block is routed.
  double capacity = 0;
  /// Every so many blocks one is routed, the last of each group: 2 routes the second, fourth, … block.
  int64_t every = 2;

  bool on() const { return capacity > 0; }
  bool routes(int64_t block) const { return on() && block % every == every - 1; }
  /// Tokens of `tokens` that a routed block takes: the nearest whole number, at least one.
  int64_t taken(int64_t tokens) const;

  /// Reads `mod_capacity` and, where that is above 0, `mod_every`.
  static MixtureOfDepths read(Params& params);
};

/// A linear layer without bias: x [B, T, w] -> weights [B, T].
class RouterImpl : public torch::nn::Module {
 public:
  explicit RouterImpl(int64_t width);
  torch::Tensor forward(const torch::Tensor& x) { return weight_(x).squeeze(2); }

 private:
  torch::nn::Linear weight_{nullptr};
};
TORCH_MODULE(Router);

/// Expert choice: places of the `count` largest weights of each row, in order. [B, T] -> [B, count] int64
torch::Tensor choose(const torch::Tensor& weights, int64_t count);

/// The rows of x [B, T, w] at these places [B, k] -> [B, k, w].
torch::Tensor gather_rows(const torch::Tensor& x, const torch::Tensor& places);

/// x + weight·(block(x) − x) at the chosen places, x elsewhere (eq. 1, the block's own residual set apart).
/// x [B, T, w]; places [B, k]; weights [B, T]; block: [B, k, w] -> [B, k, w]
torch::Tensor route(const torch::Tensor& x, const torch::Tensor& places, const torch::Tensor& weights,
                    const std::function<torch::Tensor(const torch::Tensor& chosen)>& block);

}  // namespace scalelaw::trainer
