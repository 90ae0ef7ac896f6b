// The element-wise half of a transformer block in single passes, differentiable.
//
// Small models on a CPU are bound by memory passes and per-operation overhead, not by matrix products; each function
// here replaces three to ten torch operations. On a CPU with float tensors they run the kernels of nn/kernels.h;
// everywhere else (CUDA, odd widths) the same formula in torch operations. Both give the same gradients (tests).
// All take and return contiguous tensors unless said otherwise. B: batch, T: tokens per sample, w: width.
#pragma once

#include <cstdint>
#include <vector>

#include <torch/torch.h>

namespace scalelaw::trainer {

/// LayerNorm (no affine, eps 1e-6), then norm(x)·(1 + scale) + shift with one shift and scale per sample (AdaLN).
/// x [B, T, w]; shift, scale [B, w], rows may be strided (a chunk of a wider tensor) -> [B, T, w]
torch::Tensor modulated_norm(const torch::Tensor& x, const torch::Tensor& shift, const torch::Tensor& scale);

/// gelu(x + bias), tanh approximation. x [..., n], bias [n] -> [..., n]
torch::Tensor bias_gelu(const torch::Tensor& x, const torch::Tensor& bias);

/// x + gate·(branch + bias) with one gate per sample: the end of an AdaLN branch.
/// x, branch [B, T, w]; bias [w]; gate [B, w], rows may be strided -> [B, T, w]
torch::Tensor gated_residual(const torch::Tensor& x, const torch::Tensor& branch, const torch::Tensor& bias,
                             const torch::Tensor& gate);

/// Multi-head attention on the packed projection, its bias included. Reports its FLOPs to `count_flops`.
/// qkv [B, T, 3w] (q, then k, then v; heads contiguous inside each), bias [3w] -> [B, T, w]
///
/// visible: token i sees the first visible[i] tokens (block-causal: the end of its own scale); empty: all see all.
/// q_scale [heads]: if defined, q and k are L2-normalised per head and q is multiplied by q_scale[head] (VAR, with
/// q_scale = exp of the learned logarithm); otherwise scores are divided by √(w/heads).
torch::Tensor attention(const torch::Tensor& qkv, const torch::Tensor& bias, int64_t heads,
                        const std::vector<int64_t>& visible = {}, const torch::Tensor& q_scale = {});

}  // namespace scalelaw::trainer
