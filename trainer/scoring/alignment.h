// Alignment: does the image show what its caption says? Scored as TIFA does (Hu et al. 2023): questions from the
// caption, answered by a visual model that looks only at the image; the score is the share answered right.
#pragma once

#include <functional>
#include <string>

#include <torch/torch.h>

#include "trainer/data/scenes.h"
#include "trainer/family.h"

namespace scalelaw::trainer {

/// Images for captions: tokens [B, kCaptionLength] -> [B, 3, R, R] in [−1, 1] (clamped by the scorer).
using Sampler = std::function<torch::Tensor(const torch::Tensor& tokens)>;

/// Captions that every final evaluation asks for.
inline constexpr int64_t kAlignmentPrompts = 1024;
inline constexpr int64_t kAlignmentBatch = 256;

/// Samples images for the first kAlignmentPrompts held-out captions and asks the scorer.
///
/// Values: `alignment`, its bounds `alignment_chance` (mean of 1/answers: guessing) and `alignment_ceiling` (the scorer
/// on the real scenes of the same captions), and `alignment_object`, `alignment_colour`, `alignment_background`.
/// The sampler is called with torch's default generator seeded the same for every run. `progress` gets the share done.
/// Throws BadRun if `scorer_path` is no scorer.
Values alignment(const std::string& scorer_path, const Scenes& held_out, torch::Device device, const Sampler& sampler,
                 const std::function<void(double)>& progress);

}  // namespace scalelaw::trainer
