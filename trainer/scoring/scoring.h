// Scores of drawn images. Read this first in the folder.
//
// Alignment: does the image show what its caption says? Scored as TIFA does (Hu et al. 2023): questions from the
// caption, answered by a visual model that looks only at the image; the score is the share answered right.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "trainer/data/dataset.h"
#include "trainer/family.h"

namespace scalelaw::trainer {

/// Images for captions: tokens [B, L] -> [B, 3, R, R] in [−1, 1] (clamped by the scorer).
using Sampler = std::function<torch::Tensor(const torch::Tensor& tokens)>;

/// Captions that every final evaluation asks for.
inline constexpr int64_t kScoredPrompts = 1024;
inline constexpr int64_t kScoredBatch = 256;

class Scoring {
 public:
  /// Takes the input `scorer` and the parameter `score_command` (an argv: external_scorer.h); either may be absent.
  /// Throws BadRun if the scorer answers questions that this run's data does not have.
  explicit Scoring(const FamilyContext& context);

  /// Whether anything is scored.
  bool on() const { return !scorer_.empty() || !command_.empty(); }
  /// Images that one evaluation draws.
  int64_t prompts() const { return on() ? kScoredPrompts : 0; }

  /// Draws images for the first kScoredPrompts held-out captions and scores them.
  ///
  /// With a scorer: `alignment`, its bounds `alignment_chance` (answers guessed uniformly) and `alignment_ceiling` (the
  /// scorer on the real images of the same captions), the breakdown `alignment_<question>`; and in the scorer's own
  /// features, which are not Inception's, the Fréchet distance `scorer_fd` and `scorer_recall` between the drawn and
  /// the real images of these captions (distribution.h). With a command: `external_…`, and `external_…_real` of the
  /// real images.
  ///
  /// The sampler is called with torch's default generator seeded the same for every run. `progress` gets the share
  /// done.
  Values operator()(const Dataset& held_out, const Sampler& sampler, const std::function<void(double)>& progress) const;

 private:
  std::string scorer_;
  std::vector<std::string> command_;
  std::string folder_;
  SceneParams scenes_;
  torch::Device device_;
};

/// Of the figures above those of the drawn images, without bounds and the real images' own, each name with this suffix:
/// for a second evaluation of a run.
Values scores_of_images(const Values& scores, const std::string& suffix);

}  // namespace scalelaw::trainer
