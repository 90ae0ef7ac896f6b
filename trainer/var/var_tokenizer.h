// The tokenizer of VAR (Tian et al. 2024, arXiv 2404.02905, algorithms 1 and 2): an autoencoder whose latent is
// quantized residually, from a coarse token map to a fine one, with one codebook for all scales.
//
// Shapes: B batch, C code channels, S latent side, T tokens of all scales, V codes, n(k) tokens of scale k.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

#include "trainer/params.h"
#include "trainer/var/discriminator.h"
#include "trainer/var/scales.h"

namespace scalelaw::trainer {

struct VarTokenizerOptions {
  /// Pixels per side of the images; each latent place stands for a patch of 4×4.
  int64_t resolution = 16;
  Scales scales{{1, 2, 3, 4}};
  int64_t vocabulary = 128;
  int64_t code_channels = 8;
  /// Channels inside encoder and decoder.
  int64_t width = 64;
  /// Convolutions φ that the scales share (paper: 4 for 10 scales).
  int64_t phis = 4;
  /// Weight β of the commitment loss.
  double commitment = 0.25;
  /// Weight of the loss of passing for a real image before a discriminator that is trained beside; 0: there is none.
  double adversarial_weight = 0;

  static constexpr int64_t kPatch = 4;

  /// Reads `resolution`, `scales`, `vocabulary`, … Throws BadRun; the last scale must be resolution / 4.
  static VarTokenizerOptions read(Params& params);
};

class VarTokenizerImpl : public torch::nn::Module {
 public:
  explicit VarTokenizerImpl(const VarTokenizerOptions& options);

  const VarTokenizerOptions& options() const { return options_; }
  const Scales& scales() const { return options_.scales; }
  /// Empty unless `adversarial_weight` is above 0.
  Discriminator& discriminator() { return discriminator_; }
  const Discriminator& discriminator() const { return discriminator_; }

  /// Images [B, 3, R, R] -> latent f [B, C, S, S], and back.
  torch::Tensor encode_latent(const torch::Tensor& images);
  torch::Tensor decode_latent(const torch::Tensor& latent);

  struct Quantized {
    torch::Tensor ids;     // [B, T] int64
    torch::Tensor latent;  // [B, C, S, S] f̂, straight-through: its gradient is f's
    torch::Tensor loss;    // scalar: mean over scales of ‖f̂_k − sg f‖² + β‖sg f̂_k − f‖²
  };
  Quantized quantize(const torch::Tensor& latent);

  /// Images -> token ids [B, T] int64; ids -> images [B, 3, R, R] in [−1, 1]. Without gradients.
  torch::Tensor encode(const torch::Tensor& images);
  torch::Tensor decode(const torch::Tensor& ids);

  /// Code vectors of ids [...] -> [..., C].
  torch::Tensor codes(const torch::Tensor& ids) const;

  /// f̂ + φ_k(upsampled codes): what scale k adds. latent [B, C, S, S], codes [B, n(k), C].
  torch::Tensor add_scale(const torch::Tensor& latent, const torch::Tensor& codes, int64_t k);
  /// f̂ as scale k's token map sees it (area interpolation): [B, C, S, S] -> [B, n(k), C].
  torch::Tensor at_scale(const torch::Tensor& latent, int64_t k) const;
  /// The code nearest to each token of what is missing at scale k: [B, C, S, S] -> ids [B, n(k)].
  torch::Tensor nearest_codes(const torch::Tensor& missing, int64_t k) const;
  /// f̂ of no tokens: zeros [batch, C, S, S].
  torch::Tensor empty_latent(int64_t batch) const;
  /// f̂ of all tokens' code vectors [B, T, C] -> [B, C, S, S].
  torch::Tensor accumulate(const torch::Tensor& codes);

  /// What a transformer is fed to predict scales 1…: for every scale k > 0 the accumulated reconstruction of the scales
  /// before it, at scale k. codes [B, T, C] -> [B, T − n(0), C].
  torch::Tensor accumulated_inputs(const torch::Tensor& codes);

  /// Fills the codebook with rests of this batch, scale by scale, so that no code starts dead.
  void initialise_codebook(const torch::Tensor& images);
  /// Counts the codes used, until `revive`.
  void count_usage(const torch::Tensor& ids);
  int64_t counted() const { return usage_.sum().item<int64_t>(); }
  /// Moves the codes that were hardly used to where these images are reconstructed worst, and counts anew. Not between
  /// a forward pass and its backward pass.
  void revive(const torch::Tensor& images);

 private:
  torch::Tensor phi(const torch::Tensor& upsampled, int64_t k);
  torch::Tensor nearest(const torch::Tensor& vectors) const;
  void fill_codebook(const torch::Tensor& unused, const torch::Tensor& vectors);

  VarTokenizerOptions options_;
  torch::nn::Sequential encoder_{nullptr}, decoder_{nullptr};
  std::vector<torch::nn::Conv2d> phis_;
  Discriminator discriminator_{nullptr};
  torch::Tensor codebook_;              // [V, C]
  torch::Tensor usage_;                 // [V] tokens since the last revival
  std::vector<torch::Tensor> area_;     // per scale [S², n(k)]: area interpolation as a matrix
  std::vector<torch::Tensor> bicubic_;  // per scale [n(k), S²]: bicubic interpolation as a matrix
};
TORCH_MODULE(VarTokenizer);

/// `VarTokenizerImpl::accumulated_inputs` as one matrix product. Interpolations and φ are linear, so the inputs are an
/// affine function of the code vectors, whatever the codes; it is measured once, by feeding unit vectors.
class TeacherInputs {
 public:
  explicit TeacherInputs(VarTokenizer tokenizer);
  /// ids [B, T] int64 -> [B, T − n(0), C]
  torch::Tensor operator()(const torch::Tensor& ids) const;

 private:
  VarTokenizer tokenizer_;
  torch::Tensor weight_;  // [T·C, (T − n(0))·C]
  torch::Tensor bias_;    // [(T − n(0))·C]
};

}  // namespace scalelaw::trainer
