// A small diffusion transformer: patches as tokens, adaptive layer norm on time and caption (DiT, Peebles & Xie 2023;
// the transformer backbone of arXiv 2404.02883 is its PixArt variant). All blocks' modulations come from one product.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "trainer/params.h"
#include "trainer/text.h"

namespace scalelaw::trainer {

struct DitParams {
  int64_t width = 64;
  int64_t depth = 2;
  int64_t heads = 2;
  int64_t patch = 4;
  int64_t mlp_ratio = 4;
  int64_t resolution = 16;
  /// Keep only the blocks' inputs for the backward pass (nn/recompute.h).
  bool recompute = false;

  int64_t tokens() const { return (resolution / patch) * (resolution / patch); }
  int64_t patch_size() const { return 3 * patch * patch; }

  /// Throws BadRun when the shapes do not fit together (heads must divide width, patch the resolution).
  static DitParams read(Params& params, int64_t resolution);
};

struct DitBlockImpl : torch::nn::Module {
  explicit DitBlockImpl(const DitParams& params);

  /// x [B, T, w]; modulation: shift, scale, gate of the attention, then of the MLP, each [B, w] -> [B, T, w]
  torch::Tensor forward(torch::Tensor x, const torch::Tensor* modulation);

  int64_t heads;
  torch::Tensor qkv_weight, qkv_bias;    // [3w, w], [3w]
  torch::Tensor out_weight, out_bias;    // [w, w], [w]
  torch::Tensor up_weight, up_bias;      // [rw, w], [rw]
  torch::Tensor down_weight, down_bias;  // [w, rw], [w]
};
TORCH_MODULE(DitBlock);

class DitImpl : public torch::nn::Module {
 public:
  explicit DitImpl(const DitParams& params, const CaptionShape& captions = {});

  /// patches [B, T, 3p²] (see `patchify`), time [B] in [0, 1], tokens [B, L] -> velocity [B, T, 3p²]
  torch::Tensor forward(const torch::Tensor& patches, const torch::Tensor& time, const torch::Tensor& tokens);

  /// All parameters but the text encoder's, as the paper counts its UNets and transformers.
  int64_t backbone_params() const;

  const DitParams& params() const { return params_; }

 private:
  DitParams params_;
  TextEncoder text_{nullptr};
  torch::nn::Linear time_hidden_{nullptr}, time_output_{nullptr}, patch_in_{nullptr}, patch_out_{nullptr};
  torch::Tensor frequencies_;                          // [w/2], buffer
  torch::Tensor positions_;                            // [T, w]
  torch::Tensor modulation_weight_, modulation_bias_;  // [(6·depth + 2)·w, w], [(6·depth + 2)·w]
  std::vector<DitBlock> blocks_;
};
TORCH_MODULE(Dit);

/// [B, 3, R, R] -> [B, (R/p)², 3p²]
torch::Tensor patchify(const torch::Tensor& images, int64_t patch);
/// The inverse.
torch::Tensor unpatchify(const torch::Tensor& patches, int64_t patch);

}  // namespace scalelaw::trainer
