// How alike two sets of images are, by the features of a network: which one decides what the figures mean.
#pragma once

#include <torch/torch.h>

namespace scalelaw::trainer {

/// Fréchet distance of two sets of features, real [N, d] and drawn [M, d], each taken for a normal distribution:
/// |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½) (Heusel et al. 2017, eq. 6). Falls with N and M even between equal
/// distributions: compare at equal counts only.
double frechet_distance(const torch::Tensor& real, const torch::Tensor& drawn);

/// Recall (Kynkäänniemi et al. 2019, eq. 1 and 3): the share of real samples that lie within the distance of some drawn
/// sample to its k-th nearest drawn neighbour. How much of the variety is there, whatever the quality.
double recall(const torch::Tensor& real, const torch::Tensor& drawn, int64_t k = 3);

}  // namespace scalelaw::trainer
