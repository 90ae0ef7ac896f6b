// Visual autoregressive modelling (Tian et al. 2024, arXiv 2404.02905): a transformer that predicts an image's token
// maps scale by scale, each map at once, from the accumulated reconstruction of the coarser ones and a caption.
//
// Shapes: B batch, T tokens of all scales, w width, V codes, C code channels, n(k) tokens of scale k.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "trainer/params.h"
#include "trainer/text.h"
#include "trainer/var/scales.h"

namespace scalelaw::trainer {

struct VarOptions {
  /// Blocks, and heads of each.
  int64_t depth = 4;
  /// w = width_per_depth · depth, which is also the width of a head (paper: 64).
  int64_t width_per_depth = 16;
  /// Initial gate of the residual branches; they start nearly closed in the paper, which short runs have no time for.
  double initial_gate = 0.2;
  /// Keep only the blocks' inputs for the backward pass (nn/recompute.h).
  bool recompute = false;
  CaptionShape captions;
  // From the tokenizer:
  Scales scales{{1, 2, 3, 4}};
  int64_t vocabulary = 128;
  int64_t code_channels = 8;

  int64_t width() const { return width_per_depth * depth; }

  /// Reads `depth`, `width_per_depth`, …; the tokenizer's part is the caller's.
  static VarOptions read(Params& params);
};

struct VarParameters {
  /// N = 18·d·w²: weights of attention (4w²), MLP (8w²) and AdaLN (6w²) of every block, as the paper counts.
  int64_t backbone = 0;
  /// Everything that is learned.
  int64_t total = 0;
};

/// Parameters by formula, without building the model. `condition`: parameters of what embeds the condition (for the
/// paper's classes (1000 + 1)·w).
VarParameters count_parameters(const VarOptions& options, int64_t condition);

class VarImpl : public torch::nn::Module {
 public:
  explicit VarImpl(const VarOptions& options);

  const VarOptions& options() const { return options_; }

  /// Caption tokens [B, L] -> condition [B, w].
  torch::Tensor condition(const torch::Tensor& caption);

  /// Teacher forcing: logits of every token given the true tokens of coarser scales.
  /// inputs [B, T − n(0), C]: `VarTokenizerImpl::accumulated_inputs`; condition [B, w] -> [B, T, V]
  torch::Tensor forward(const torch::Tensor& inputs, const torch::Tensor& condition);

  /// Projected queries, keys and values of the scales done so far, per block [B, T so far, 3w].
  using Cache = std::vector<torch::Tensor>;

  /// Logits of scale k alone [B, n(k), V]; `cache` holds the scales before it (empty at k = 0) and gains this one.
  /// inputs [B, n(k), C]: the accumulated reconstruction at scale k (undefined at k = 0)
  torch::Tensor step(const torch::Tensor& inputs, const torch::Tensor& condition, int64_t k, Cache& cache);

 private:
  struct BlockImpl : torch::nn::Module {
    explicit BlockImpl(const VarOptions& options);
    /// x [B, T, w]; modulation: shift, scale, gate of the attention, then of the MLP, each [B, w]; temperature [heads].
    /// cache: projections of the rows before x (undefined: none), gains those of x.
    torch::Tensor forward(torch::Tensor x, const torch::Tensor* modulation, const torch::Tensor& temperature,
                          const std::vector<int64_t>& visible, torch::Tensor* cache);
    int64_t heads;
    torch::nn::Linear qkv{nullptr}, projection{nullptr}, up{nullptr}, down{nullptr};
    torch::Tensor qkv_bias, projection_bias, up_bias, down_bias;
  };
  TORCH_MODULE(Block);

  /// The sequence's rows [begin, begin + x.size(1)) through all blocks and the head.
  torch::Tensor transform(torch::Tensor x, const torch::Tensor& condition, int64_t begin, Cache* cache);
  /// Position and level embeddings of rows [begin, end): [end − begin, w].
  torch::Tensor places(int64_t begin, int64_t end);

  VarOptions options_;
  std::vector<int64_t> visible_;
  TextEncoder text_{nullptr};
  torch::nn::Linear input_{nullptr}, modulation_{nullptr}, head_{nullptr};
  torch::Tensor position_;   // [T, w]
  torch::Tensor level_;      // [scales, w]
  torch::Tensor level_of_;   // [T] int64
  torch::Tensor log_scale_;  // [d, heads]
  std::vector<Block> blocks_;
};
TORCH_MODULE(Var);

}  // namespace scalelaw::trainer
