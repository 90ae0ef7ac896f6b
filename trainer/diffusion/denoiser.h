// What UNet and diffusion transformer have in common: a network that is shown a noisy image, a time and a caption.
#pragma once

#include <vector>

#include <torch/torch.h>

#include "trainer/diffusion/t_gate.h"
#include "trainer/text.h"

namespace scalelaw::trainer {

class Denoiser : public torch::nn::Module {
 public:
  /// x [B, …] in the network's own layout (`arrange`), time [B] in [0, 1], tokens [B, L] -> like x.
  /// A cross-attention goes through `cache` where there is one; tokens are undefined in a pass that reuses it.
  virtual torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& time, const torch::Tensor& tokens,
                                CrossAttentionCache* cache = nullptr) = 0;

  /// Images [B, 3, R, R] in the layout that the network works on (patches for a transformer), and back.
  virtual torch::Tensor arrange(const torch::Tensor& images) const = 0;
  virtual torch::Tensor restore(const torch::Tensor& x) const = 0;
  /// One sample in this layout, without the batch.
  virtual std::vector<int64_t> layout() const = 0;

  /// Parameters without those that embed the caption, as arXiv 2404.02883 counts.
  virtual int64_t backbone_params() const = 0;
  /// Does the caption come in by cross-attention, of the same tokens at every step? T-GATE needs that.
  virtual bool has_cross_attention() const = 0;
};

/// Published shapes work on a latent and read a frozen text encoder's states, which this program has not: they are
/// described, not trained.
bool takes_data(int64_t image_channels, int64_t text_length, const CaptionShape& captions);
/// Throws BadRun unless `takes_data`.
void require_data(int64_t image_channels, int64_t text_length, const CaptionShape& captions);

}  // namespace scalelaw::trainer
