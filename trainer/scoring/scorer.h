// The visual model that answers questions about a scene: a small CNN that looks at the image only.
#pragma once

#include <memory>
#include <string>

#include <torch/torch.h>

#include "trainer/data/scenes.h"
#include "trainer/family.h"

namespace scalelaw::trainer {

class ScorerNetImpl : public torch::nn::Module {
 public:
  explicit ScorerNetImpl(int64_t width);

  /// images [B, 3, R, R] in [−1, 1], R a multiple of 4 -> logits [B, 10 + 6 + 2], one group per question
  torch::Tensor forward(const torch::Tensor& images);

 private:
  torch::nn::Conv2d first_{nullptr}, second_{nullptr}, third_{nullptr};
  torch::nn::BatchNorm2d first_norm_{nullptr}, second_norm_{nullptr}, third_norm_{nullptr};
  torch::nn::Linear hidden_{nullptr}, output_{nullptr};
};
TORCH_MODULE(ScorerNet);

/// The most likely answer to every question: [B, kQuestions] int64. Clamps the images to [−1, 1].
torch::Tensor answer(ScorerNet& scorer, const torch::Tensor& images);

/// Loads a trained scorer. Throws BadRun if the file is none, or was trained at another resolution.
ScorerNet load_scorer(const std::string& path, int64_t resolution, torch::Device device);

/// Family `scorer`: metrics `accuracy` and `accuracy_<question>` on held-out scenes.
FamilyEntry scorer_family();

}  // namespace scalelaw::trainer
