// The visual model that answers questions about a scene: a small CNN that looks at the image only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "trainer/data/scenes.h"
#include "trainer/family.h"

namespace scalelaw::trainer {

class ScorerNetImpl : public torch::nn::Module {
 public:
  /// `objects`: of the scenes.
  ScorerNetImpl(int64_t width, int64_t objects);

  /// images [B, 3, R, R] in [−1, 1], R a multiple of 4 -> the last hidden layer [B, 4·width]
  torch::Tensor features(const torch::Tensor& images);
  /// features -> logits of every question (`answers_by_place`): for each [B, answers]
  std::vector<torch::Tensor> logits(const torch::Tensor& features);

  /// What its three convolutions see, at full, half and quarter side: [B, c, s, s] each. For losses in features.
  std::vector<torch::Tensor> maps(const torch::Tensor& images);

 private:
  std::vector<int64_t> answers_;
  torch::nn::Conv2d first_{nullptr}, second_{nullptr}, third_{nullptr};
  torch::nn::BatchNorm2d first_norm_{nullptr}, second_norm_{nullptr}, third_norm_{nullptr};
  torch::nn::Linear hidden_{nullptr}, output_{nullptr};
};
TORCH_MODULE(ScorerNet);

struct Seen {
  /// [B, Q] int64: the most likely answer to every question, by place (questions.h).
  torch::Tensor answers;
  /// [B, 4·width]
  torch::Tensor features;
};

/// Looks at images, which it clamps to [−1, 1].
Seen look(ScorerNet& scorer, const torch::Tensor& images);

/// Loads a trained scorer. Throws BadRun if the file is none, or was trained on scenes of another resolution or another
/// number of objects.
ScorerNet load_scorer(const std::string& path, const SceneParams& scenes, torch::Device device);

/// Family `scorer`: metrics `accuracy` and `accuracy_<question>` (by place) on held-out scenes.
FamilyEntry scorer_family();

}  // namespace scalelaw::trainer
