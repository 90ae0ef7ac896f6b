// Visual autoregressive modelling (Tian et al. 2024, arXiv 2404.02905): a transformer that predicts an image's token
// maps scale by scale, each map at once, from the accumulated reconstruction of the coarser ones and a caption.
//
// Shapes: B batch, T tokens of all scales, w width, V codes, C code channels, n(k) tokens of scale k.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <torch/torch.h>

#include "trainer/family.h"
#include "trainer/nn/cost.h"
#include "trainer/nn/mixture_of_depths.h"
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
  /// Chance that the last block's branches are left out of a sample's training pass (stochastic depth, Huang et al.
  /// 2016); it grows linearly from 0 at the first block. Paper: 0.1·depth/24.
  double drop_path = 0;
  /// 0: the condition is a caption. Otherwise one of so many classes, as in the paper, or none.
  int64_t classes = 0;
  MixtureOfDepths mixture;
  /// What takes the place of the routers' choice among all tokens where later ones are not known yet (Raposo et al.
  /// 2024, sec. 3.5), trained to tell which tokens are chosen.
  enum class CausalChoice {
    kAuxiliaryLoss,  // the router's own weight: above 0
    kPredictor,      // a small network of its own, whose gradient stops there
  };
  CausalChoice causal_choice = CausalChoice::kAuxiliaryLoss;
  /// Keep only the blocks' inputs for the backward pass (nn/recompute.h).
  bool recompute = false;
  CaptionShape captions;
  // From the tokenizer:
  Scales scales{{1, 2, 3, 4}};
  int64_t vocabulary = 128;
  int64_t code_channels = 8;

  int64_t width() const { return width_per_depth * depth; }
  /// The published sizes, of ImageNet's classes, are described, not trained, here.
  bool takes_scenes() const { return classes <= kObjects; }

  /// Reads `depth`, `width_per_depth`, …; the tokenizer's part is the caller's, but for the published sizes.
  static VarOptions read(Params& params);
};

/// Cost of one forward pass over all scales, everything that trains included. `params` is the paper's N = 18·d·w²:
/// weights of attention (4w²), MLP (8w²) and AdaLN (6w²) of every block.
ModelCost cost_of(const VarOptions& options);

/// The paper's sizes and small ones.
std::vector<Preset> var_presets();

class VarImpl : public torch::nn::Module {
 public:
  explicit VarImpl(const VarOptions& options);

  const VarOptions& options() const { return options_; }

  /// Caption tokens [B, L] -> condition [B, w]. With classes: of the object that the caption names.
  torch::Tensor condition(const torch::Tensor& caption);

  /// How well the routed blocks' choice can be told without later tokens: means over blocks.
  struct Routing {
    torch::Tensor loss;      // scalar, to be added to the model's: binary cross-entropy in nats
    torch::Tensor accuracy;  // scalar
  };

  /// Teacher forcing: logits of every token given the true tokens of coarser scales. Routed blocks choose among all
  /// tokens while training (and fill in `routing`), causally in evaluation.
  /// inputs [B, T − n(0), C]: `VarTokenizerImpl::accumulated_inputs`; condition [B, w] -> [B, T, V]
  torch::Tensor forward(const torch::Tensor& inputs, const torch::Tensor& condition, Routing* routing = nullptr);

  /// Of the scales done so far, per block.
  struct BlockCache {
    torch::Tensor rows;    // projected queries, keys and values [B, T so far, 3w]
    torch::Tensor levels;  // in routed blocks, which hold chosen tokens only: the scale of each [B, T so far]
  };
  using Cache = std::vector<BlockCache>;

  /// Logits of scale k alone [B, n(k), V]; `cache` holds the scales before it (empty at k = 0) and gains this one.
  /// inputs [B, n(k), C]: the accumulated reconstruction at scale k (undefined at k = 0)
  torch::Tensor step(const torch::Tensor& inputs, const torch::Tensor& condition, int64_t k, Cache& cache);

 private:
  struct BlockImpl : torch::nn::Module {
    explicit BlockImpl(const VarOptions& options);
    torch::nn::Linear qkv{nullptr}, projection{nullptr}, up{nullptr}, down{nullptr};
    torch::Tensor qkv_bias, projection_bias, up_bias, down_bias;
  };
  TORCH_MODULE(Block);

  /// Attention of a block: projections [B, n, 3w], temperature [heads] -> [B, n, w].
  using Attend = std::function<torch::Tensor(const torch::Tensor& qkv, const torch::Tensor& scale)>;
  /// Where in the sequence and in the cache a block works.
  struct Place {
    int64_t begin;
    Cache* cache;
    Routing* routing;
  };

  /// The sequence's rows [begin, begin + x.size(1)) through all blocks and the head.
  torch::Tensor transform(torch::Tensor x, const torch::Tensor& condition, const Place& place);
  /// `attend` may be called again, in the backward pass (VarOptions::recompute).
  torch::Tensor run_block(size_t i, const torch::Tensor& x, const torch::Tensor* modulation, const torch::Tensor& scale,
                          const Attend& attend);
  /// A branch's gate [B, w], closed for those samples that block i's chance leaves out.
  torch::Tensor dropped(const torch::Tensor& gate, size_t i);
  torch::Tensor attend_all(size_t i, torch::Tensor qkv, const torch::Tensor& scale, const Place& place);
  /// Only the chosen rows go through block i.
  torch::Tensor run_routed(size_t i, const torch::Tensor& x, const torch::Tensor* modulation,
                           const torch::Tensor& scale, const Place& place);
  /// How likely each token is to be chosen, without later ones: logits [B, n].
  torch::Tensor causal_logits(size_t i, const torch::Tensor& x, const torch::Tensor& weights);
  void add_routing(Routing& routing, const torch::Tensor& logits, const torch::Tensor& chosen) const;
  /// Position and level embeddings of rows [begin, end): [end − begin, w].
  torch::Tensor places(int64_t begin, int64_t end);

  VarOptions options_;
  std::vector<int64_t> visible_;
  TextEncoder text_{nullptr};            // one of the two
  torch::nn::Embedding class_{nullptr};  // the last class is none
  torch::nn::Linear input_{nullptr}, modulation_{nullptr}, head_{nullptr};
  torch::Tensor position_;   // [T, w]
  torch::Tensor level_;      // [scales, w]
  torch::Tensor level_of_;   // [T] int64
  torch::Tensor log_scale_;  // [d, heads]
  std::vector<Block> blocks_;
  std::vector<Router> routers_;                    // one per block; empty where it is not routed
  std::vector<torch::nn::Sequential> predictors_;  // likewise, with CausalChoice::kPredictor
};
TORCH_MODULE(Var);

}  // namespace scalelaw::trainer
