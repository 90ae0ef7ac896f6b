// Captions for cross-attention: one vector per word.
#pragma once

#include <torch/torch.h>

#include "trainer/nn/cost.h"
#include "trainer/text.h"

namespace scalelaw::trainer {

/// A learned vector per word plus one per place, then x + two linear layers with a SiLU between. Trained with the
/// model. tokens [B, L] int64 -> [B, L, width]
class CaptionStatesImpl : public torch::nn::Module {
 public:
  explicit CaptionStatesImpl(int64_t width, const CaptionShape& captions = {});
  torch::Tensor forward(const torch::Tensor& tokens);

  static ModelCost cost(int64_t width, const CaptionShape& captions);

 private:
  torch::Tensor words_, places_;
  torch::nn::Linear hidden_{nullptr}, output_{nullptr};
};
TORCH_MODULE(CaptionStates);

}  // namespace scalelaw::trainer
