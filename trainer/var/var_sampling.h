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

/// Token ids for captions: [B, L] -> [B, T].
torch::Tensor sample(VarImpl& model, VarTokenizerImpl& tokenizer, const torch::Tensor& captions,
                     const VarSampling& sampling);

}  // namespace scalelaw::trainer
