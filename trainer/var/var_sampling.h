// Images from captions: token maps drawn scale by scale, with guidance.
#pragma once

#include <cstdint>

#include <torch/torch.h>

#include "trainer/params.h"
#include "trainer/var/var.h"
#include "trainer/var/var_tokenizer.h"

namespace scalelaw::trainer {

struct VarSampling {
  /// Weight of classifier-free guidance at the last scale: it grows linearly from 0 at the first.
  /// logits = (1 + t)·conditional − t·unconditional
  double guidance = 1.5;
  /// Only the so many most likely tokens (0: all), and of these the fewest that hold this probability.
  int64_t top_k = 0;
  double top_p = 0.96;

  /// Reads `guidance`, `top_k`, `top_p`.
  static VarSampling read(Params& params);
};

/// Draws one token per row. logits [n, V] -> [n] int64. torch's default generator.
torch::Tensor draw_tokens(const torch::Tensor& logits, int64_t top_k, double top_p);

/// What is given of the images that are to be completed (in-painting, out-painting).
struct Known {
  /// The tokenizer's latent of the images, whose hidden part was grey: [B, C, S, S].
  torch::Tensor latent;
  /// [T] bool: tokens no part of which is to be drawn.
  torch::Tensor tokens;
};

/// images [B, 3, R, R]; drawn [R, R] bool: the pixels to draw, which are not looked at.
Known known_parts(VarTokenizerImpl& tokenizer, const torch::Tensor& images, const torch::Tensor& drawn);

/// Token ids for captions: [B, L] -> [B, T].
///
/// With `known` the model is forced, zero-shot (Tian et al. 2024, sec. 5.3), at every scale: a known token is the code
/// that the tokenizer would choose there for what is still missing after the scales before, drawn ones included.
torch::Tensor sample(VarImpl& model, VarTokenizerImpl& tokenizer, const torch::Tensor& captions,
                     const VarSampling& sampling, const Known* known = nullptr);

}  // namespace scalelaw::trainer
