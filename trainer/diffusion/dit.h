// A diffusion transformer: patches as tokens, adaptive layer norm (AdaLN) on the time (DiT, Peebles & Xie 2023). The
// caption comes in through AdaLN, pooled into one vector, or by cross-attention as in PixArt-α (Chen et al. 2023), the
// transformer of arXiv 2404.02883. All blocks' modulations come from one product.
//
// Shapes: B batch, T tokens, w width, L words of a caption, t the text's width.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "trainer/diffusion/caption_states.h"
#include "trainer/diffusion/denoiser.h"
#include "trainer/family.h"
#include "trainer/nn/cost.h"
#include "trainer/nn/mixture_of_depths.h"
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
  /// The caption by cross-attention in every block, rather than pooled.
  bool cross_attention = false;
  /// One modulation for all blocks plus a learned vector for each (PixArt-α, sec. 2.3), rather than one per block.
  bool adaln_single = false;
  MixtureOfDepths mixture;
  int64_t image_channels = 3;
  CaptionShape captions;
  int64_t text_length = kCaptionLength;
  int64_t text_width = 64;
  /// Keep only the blocks' inputs for the backward pass (nn/recompute.h).
  bool recompute = false;

  int64_t tokens() const { return (resolution / patch) * (resolution / patch); }
  int64_t patch_size() const { return image_channels * patch * patch; }
  int64_t modulations() const { return 6 * (adaln_single ? 1 : depth) + 2; }

  /// Throws BadRun when the shapes do not fit together (heads must divide width, patch the resolution).
  static DitParams read(Params& params, int64_t resolution, const CaptionShape& captions = {});
};

/// Cost of one forward pass. The caption's encoder is counted where it is trained here.
ModelCost cost_of(const DitParams& params);

/// PixArt-α's transformer and small ones.
std::vector<Preset> dit_presets();

struct DitBlockImpl : torch::nn::Module {
  explicit DitBlockImpl(const DitParams& params);

  /// x [B, T, w]; modulation: shift, scale, gate of the attention, then of the MLP, each [B, w]; text [B, L, t], used
  /// with cross-attention -> [B, T, w]
  torch::Tensor forward(torch::Tensor x, const torch::Tensor* modulation, const torch::Tensor& text = {},
                        CrossAttentionCache* cache = nullptr);

  int64_t heads;
  torch::Tensor qkv_weight, qkv_bias;    // [3w, w], [3w]
  torch::Tensor out_weight, out_bias;    // [w, w], [w]
  torch::Tensor up_weight, up_bias;      // [rw, w], [rw]
  torch::Tensor down_weight, down_bias;  // [w, rw], [w]
  torch::nn::Linear query{nullptr}, key_value{nullptr}, cross_out{nullptr};
};
TORCH_MODULE(DitBlock);

class DitImpl : public Denoiser {
 public:
  /// Throws BadRun if it cannot be trained here (`require_data`).
  explicit DitImpl(const DitParams& params);

  /// patches [B, T, 3p²] (see `patchify`), time [B] in [0, 1], tokens [B, L] -> [B, T, 3p²]
  torch::Tensor forward(const torch::Tensor& patches, const torch::Tensor& time, const torch::Tensor& tokens,
                        CrossAttentionCache* cache = nullptr) override;
  torch::Tensor arrange(const torch::Tensor& images) const override;
  torch::Tensor restore(const torch::Tensor& x) const override;
  std::vector<int64_t> layout() const override { return {params_.tokens(), params_.patch_size()}; }
  int64_t backbone_params() const override { return cost_of(params_).params; }
  bool has_cross_attention() const override { return params_.cross_attention && !params_.mixture.on(); }

  const DitParams& params() const { return params_; }

 private:
  torch::Tensor run_block(size_t i, const torch::Tensor& x, const torch::Tensor* modulation, const torch::Tensor& text,
                          CrossAttentionCache* cache);

  DitParams params_;
  TextEncoder pooled_text_{nullptr};
  CaptionStates text_{nullptr};
  torch::nn::Linear time_hidden_{nullptr}, time_output_{nullptr}, patch_in_{nullptr}, patch_out_{nullptr};
  torch::Tensor frequencies_;                          // [w/2], buffer
  torch::Tensor positions_;                            // [T, w]
  torch::Tensor modulation_weight_, modulation_bias_;  // [m·w, w], [m·w], m = modulations()
  torch::Tensor block_modulation_;                     // [depth, 6w], with adaln_single
  std::vector<DitBlock> blocks_;
  std::vector<Router> routers_;  // one per block; empty where a block is not routed
};
TORCH_MODULE(Dit);

/// [B, c, R, R] -> [B, (R/p)², c·p²]
torch::Tensor patchify(const torch::Tensor& images, int64_t patch);
/// The inverse.
torch::Tensor unpatchify(const torch::Tensor& patches, int64_t patch);

}  // namespace scalelaw::trainer
