// Two orders of a scene's answers: the caption's, which `Batch::answers` have, and the image's own.
//
// An image does not say which of its two objects a caption would name first. So the scorer answers by place: first the
// left or upper object, then the other, and whether they stand side by side or one above the other. Scenes of one
// object have one order.
#pragma once

#include <torch/torch.h>

#include "trainer/data/scenes.h"

namespace scalelaw::trainer {

/// Possible answers by place: `scene_questions`, but the relation is 0 (side by side) or 1 (one above the other).
std::vector<int64_t> answers_by_place(int64_t objects);

/// Answers in the caption's order [B, Q] -> by place.
torch::Tensor by_place(const torch::Tensor& answers);

/// Answers by place -> in the order of the captions whose true answers are `asked`, both [B, Q]: as TIFA asks about the
/// things that a caption names, wherever they are. Each seen object stands for the named one that makes more of the
/// objects and colours right; where both ways are as good, for the one whose place it has.
torch::Tensor as_asked(const torch::Tensor& seen, const torch::Tensor& asked);

}  // namespace scalelaw::trainer
