#include "trainer/nn/cross_attention.h"

#include <cmath>

namespace scalelaw::trainer {

using torch::Tensor;

std::pair<Tensor, Tensor> unit_length(const Tensor& query, const Tensor& key, const Tensor& q_scale) {
  Tensor q = query * torch::rsqrt(query.square().sum(-1, true) + 1e-12) * q_scale.view({1, -1, 1, 1});
  return {q, key * torch::rsqrt(key.square().sum(-1, true) + 1e-12)};
}

Tensor cross_attention(const Tensor& query, const Tensor& key_value, int64_t heads, const Tensor& visible,
                       const Tensor& q_scale) {
  const int64_t batch = query.size(0), tokens = query.size(1), width = query.size(2), length = key_value.size(1);
  const int64_t head_width = width / heads;
  Tensor q = query.reshape({batch, tokens, heads, head_width}).transpose(1, 2);  // [B, H, T, d]
  auto parts = key_value.reshape({batch, length, 2, heads, head_width}).permute({2, 0, 3, 1, 4}).unbind(0);
  Tensor k = parts[0], v = parts[1];
  if (q_scale.defined()) {
    std::tie(q, k) = unit_length(q, k, q_scale);
  } else {
    q = q / std::sqrt(static_cast<double>(head_width));
  }
  Tensor scores = torch::matmul(q, k.transpose(-1, -2));
  if (visible.defined()) scores = scores.masked_fill(visible.unsqueeze(1).logical_not(), -1e30);
  return torch::matmul(torch::softmax(scores, -1), v).transpose(1, 2).reshape({batch, tokens, width});
}

}  // namespace scalelaw::trainer
