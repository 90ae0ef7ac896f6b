// Attention of one sequence to another, in torch operations.
#pragma once

#include <utility>

#include <torch/torch.h>

namespace scalelaw::trainer {

/// softmax(q·kᵀ/√(w/heads))·v over heads. query [B, T, w], key_value [B, L, 2w] (keys, then values) -> [B, T, w]
/// visible [B, T, L] bool, if defined: false hides. q_scale [heads], if defined: as for `attention` (nn/fused.h).
torch::Tensor cross_attention(const torch::Tensor& query, const torch::Tensor& key_value, int64_t heads,
                              const torch::Tensor& visible = {}, const torch::Tensor& q_scale = {});

/// Queries and keys [B, heads, T, d] of unit length, queries times q_scale [heads]: attention by cosine, as VAR's.
std::pair<torch::Tensor, torch::Tensor> unit_length(const torch::Tensor& query, const torch::Tensor& key,
                                                    const torch::Tensor& q_scale);

}  // namespace scalelaw::trainer
