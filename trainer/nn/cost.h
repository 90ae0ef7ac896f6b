// What a model costs, worked out from its shape alone: nothing is allocated, so that a model of billions of parameters
// is described in no time. Tests hold these figures against real modules and against FLOPs counted while they run.
#pragma once

#include <cstdint>

namespace scalelaw::trainer {

struct ModelCost {
  /// Parameters as the papers count a model: without what embeds the caption (or, for VAR, see var.h).
  int64_t params = 0;
  /// Everything that is learned.
  int64_t params_total = 0;
  /// Multiply-adds of one forward pass of one sample in products with weights: matrix products and convolutions. The
  /// "MACs" of arXiv 2404.02883's table.
  double weight_macs = 0;
  /// Multiply-adds between activations: q·kᵀ and p·v of every attention. That table leaves them out.
  double attention_macs = 0;
  /// Part of `weight_macs` in transformer blocks, without those in the middle of a UNet: the table's "attention".
  double transformer_macs = 0;

  double macs() const { return weight_macs + attention_macs; }
  /// Training: forward and backward are three forward passes; a multiply-add is two FLOPs.
  double flops_per_sample() const { return 6 * macs(); }
  double attention_share() const { return transformer_macs / weight_macs; }

  // Layers, applied `rows` times each (tokens, pixels).
  void linear(double rows, int64_t in, int64_t out, bool bias = true);
  /// kernel×kernel convolution with `side`² outputs.
  void convolution(int64_t side, int64_t in, int64_t out, int64_t kernel);
  /// Parameters that multiply nothing: biases, embeddings, gains.
  void learned(int64_t count);
  /// Products of attention: each of `queries` with each of `keys`, over all heads.
  void attention(double queries, double keys, int64_t width);

  /// A part of the model, such as the caption's encoder, that is learned and run but not counted in `params`.
  void beside(const ModelCost& part);
};

}  // namespace scalelaw::trainer
