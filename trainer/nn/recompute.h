// Activation checkpointing (Chen et al. 2016, arXiv 1604.06174): a part of a network keeps only its input, and its
// backward pass computes the rest again. Memory for about a third more time.
#pragma once

#include <functional>

#include <torch/torch.h>

namespace scalelaw::trainer {

using Part = std::function<torch::Tensor(const std::vector<torch::Tensor>& inputs)>;

/// `part(inputs)`, keeping nothing but the inputs for the backward pass. `inputs` are all tensors that the part reads
/// and that gradients flow to, parameters aside. Random numbers are drawn the same the second time. One input at least
/// must require a gradient, or the part's parameters get none.
torch::Tensor recomputed(const Part& part, const std::vector<torch::Tensor>& inputs);

}  // namespace scalelaw::trainer
