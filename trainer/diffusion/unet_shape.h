// The shape of a latent-diffusion UNet by the rules of Stable Diffusion 2, SDXL and DeepFloyd IF, as the table of
// arXiv 2404.02883 (sec. 3) varies them: what is built (unet.h) and what it costs come from one list of parts.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/family.h"
#include "trainer/nn/cost.h"
#include "trainer/params.h"
#include "trainer/text.h"

namespace scalelaw::trainer {

struct UnetShape {
  enum class Attention {
    kTransformer,  // SD2, SDXL: blocks of self-attention, cross-attention to the caption and a gated MLP
    kAddedKv,      // IF: self-attention whose keys and values include the caption's; no MLP
  };

  /// C: level l has multipliers[l]·C channels, on a side halved l times. The time embedding is 4C wide.
  int64_t channels = 32;
  std::vector<int64_t> multipliers = {1, 2};
  int64_t res_blocks = 1;
  /// Transformer blocks after each residual block of a level; 0: no attention there.
  std::vector<int64_t> transformer_depth = {0, 1};
  int64_t middle_depth = 1;
  int64_t head_width = 32;
  Attention attention = Attention::kTransformer;
  /// Keep only the parts' inputs for the backward pass (nn/recompute.h).
  bool recompute = false;

  int64_t resolution = 16;
  int64_t image_channels = 3;
  CaptionShape captions;
  /// The caption's states: [B, text_length, text_width].
  int64_t text_length = kCaptionLength;
  int64_t text_width = 64;

  int64_t time_width() const { return 4 * channels; }

  /// Throws BadRun when the shapes do not fit together.
  static UnetShape read(Params& params, int64_t resolution, const CaptionShape& captions = {});
};

/// One step of the way through a UNet.
struct UnetPart {
  enum class Kind { kResidual, kTransformer, kHalve, kDouble };
  Kind kind;
  /// Channels before and after. A part that takes a skip has the skip's channels in `in`.
  int64_t in, out;
  /// Pixels per side of its output.
  int64_t side;
  /// Transformer blocks.
  int64_t depth = 0;
  bool in_middle = false;
  /// Its output is kept for the way up; the latest kept output is appended to its input.
  bool keeps = false, takes = false;
};

/// From the first convolution's output to the last convolution's input.
std::vector<UnetPart> unet_parts(const UnetShape& shape);

/// Groups of every group norm: 32, or the most that divide the channels and leave 4 at least to a group.
int64_t norm_groups(int64_t channels);

/// Cost of one forward pass. The caption's encoder is counted where it is trained here.
ModelCost cost_of(const UnetShape& shape);

/// The sixteen configurations of the paper and small ones.
std::vector<Preset> unet_presets();

}  // namespace scalelaw::trainer
