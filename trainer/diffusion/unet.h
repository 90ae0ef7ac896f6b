// A UNet with attention, as latent diffusion uses it (Rombach et al. 2022; SDXL: Podell et al. 2023, sec. 2.1; IF's
// variant with added keys and values). Its parts and their order: unet_shape.h.
//
// Shapes: B batch, c channels of a part, s its side, L words of a caption, t the text's width.
#pragma once

#include <vector>

#include <torch/torch.h>

#include "trainer/diffusion/caption_states.h"
#include "trainer/diffusion/denoiser.h"
#include "trainer/diffusion/unet_shape.h"

namespace scalelaw::trainer {

/// norm, SiLU, convolution, plus the time; norm, SiLU, convolution; around it a skip, 1×1 where the channels change.
/// IF's variant applies the time as shift and scale of the second norm and resamples between norm and convolution.
struct ResidualBlockImpl : torch::nn::Module {
  ResidualBlockImpl(const UnetShape& shape, const UnetPart& part);
  /// x [B, in, s', s'], time [B, 4C] (SiLU applied) -> [B, out, s, s]
  torch::Tensor forward(torch::Tensor x, const torch::Tensor& time);

  UnetPart::Kind resampling;  // kHalve, kDouble, or kResidual: keeps the side
  bool shifts_and_scales;
  torch::nn::GroupNorm first_norm{nullptr}, second_norm{nullptr};
  torch::nn::Conv2d first{nullptr}, second{nullptr}, skip{nullptr};
  torch::nn::Linear time_projection{nullptr};
};
TORCH_MODULE(ResidualBlock);

/// x + self-attention, + cross-attention to the caption, + gated MLP (GEGLU, ratio 4), each after a layer norm.
struct TextBlockImpl : torch::nn::Module {
  TextBlockImpl(int64_t channels, int64_t head_width, int64_t text_width);
  /// x [B, s², c], text [B, L, t]
  torch::Tensor forward(torch::Tensor x, const torch::Tensor& text, CrossAttentionCache* cache);

  int64_t heads;
  torch::nn::LayerNorm norm1{nullptr}, norm2{nullptr}, norm3{nullptr};
  torch::nn::Linear qkv{nullptr}, self_out{nullptr}, query{nullptr}, key_value{nullptr}, cross_out{nullptr},
      up{nullptr}, down{nullptr};
};
TORCH_MODULE(TextBlock);

/// Places of an image as tokens through `depth` text blocks: x + out(blocks(in(norm(x)))).
struct SpatialTransformerImpl : torch::nn::Module {
  SpatialTransformerImpl(const UnetShape& shape, const UnetPart& part);
  /// x [B, c, s, s]
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& text, CrossAttentionCache* cache);

  torch::nn::GroupNorm norm{nullptr};
  torch::nn::Linear in{nullptr}, out{nullptr};
  std::vector<TextBlock> blocks;
};
TORCH_MODULE(SpatialTransformer);

/// IF's attention: places look at all places and at the caption at once. x + out(attention(norm(x))).
struct AddedKvAttentionImpl : torch::nn::Module {
  AddedKvAttentionImpl(const UnetShape& shape, const UnetPart& part);
  /// x [B, c, s, s]
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& text);

  int64_t heads;
  torch::nn::GroupNorm norm{nullptr};
  torch::nn::Linear qkv{nullptr}, text_key_value{nullptr}, out{nullptr};
};
TORCH_MODULE(AddedKvAttention);

class UnetImpl : public Denoiser {
 public:
  /// Throws BadRun if it cannot be trained here (`require_data`).
  explicit UnetImpl(const UnetShape& shape);

  torch::Tensor forward(const torch::Tensor& images, const torch::Tensor& time, const torch::Tensor& tokens,
                        CrossAttentionCache* cache = nullptr) override;
  torch::Tensor arrange(const torch::Tensor& images) const override { return images; }
  torch::Tensor restore(const torch::Tensor& x) const override { return x; }
  std::vector<int64_t> layout() const override;
  int64_t backbone_params() const override { return cost_of(shape_).params; }
  bool has_cross_attention() const override { return shape_.attention == UnetShape::Attention::kTransformer; }

  const UnetShape& shape() const { return shape_; }

 private:
  // Exactly one module of a stage is set.
  struct Stage {
    UnetPart part;
    ResidualBlock residual{nullptr};
    SpatialTransformer transformer{nullptr};
    AddedKvAttention attention{nullptr};
    torch::nn::Conv2d resampling{nullptr};
  };
  Stage make_stage(const UnetPart& part, size_t index);
  torch::Tensor run(Stage& stage, const torch::Tensor& x, const torch::Tensor& time, const torch::Tensor& text,
                    CrossAttentionCache* cache);

  UnetShape shape_;
  CaptionStates text_{nullptr};
  torch::nn::Linear time_hidden_{nullptr}, time_output_{nullptr};
  torch::nn::Conv2d in_{nullptr}, out_{nullptr};
  torch::nn::GroupNorm norm_{nullptr};
  torch::Tensor frequencies_;  // [C/2], buffer
  std::vector<Stage> stages_;
};
TORCH_MODULE(Unet);

}  // namespace scalelaw::trainer
