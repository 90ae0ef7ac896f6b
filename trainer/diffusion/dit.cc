#include "trainer/diffusion/dit.h"

#include <cmath>

#include <fmt/format.h>

#include "trainer/nn/fused.h"
#include "trainer/nn/recompute.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

// x [B, T, n] · weightᵀ [m, n] -> [B, T, m]; the bias is left to the fused operation that follows.
Tensor project(const Tensor& x, const Tensor& weight) {
  return torch::mm(x.view({-1, x.size(2)}), weight.t()).view({x.size(0), x.size(1), weight.size(0)});
}

Tensor xavier(int64_t rows, int64_t columns) {
  return torch::nn::init::xavier_uniform_(torch::empty({rows, columns}));
}

}  // namespace

DitParams DitParams::read(Params& params, int64_t resolution) {
  DitParams dit;
  dit.resolution = resolution;
  dit.width = params.integer("width", dit.width, 8, 4096);
  dit.depth = params.integer("depth", dit.depth, 1, 128);
  // Heads of 32 unless told otherwise.
  dit.heads = params.integer("heads", std::max<int64_t>(1, dit.width / 32), 1, 256);
  dit.patch = params.integer("patch", dit.patch, 1, 16);
  dit.mlp_ratio = params.integer("mlp_ratio", dit.mlp_ratio, 1, 8);
  dit.recompute = params.flag("recompute", dit.recompute);
  if (dit.width % (2 * dit.heads) != 0) {
    throw BadRun(fmt::format("heads: must divide half the width ({}), not {}", dit.width / 2, dit.heads));
  }
  if (resolution % dit.patch != 0) {
    throw BadRun(fmt::format("patch: must divide the resolution ({}), not {}", resolution, dit.patch));
  }
  return dit;
}

DitBlockImpl::DitBlockImpl(const DitParams& params) : heads(params.heads) {
  const int64_t w = params.width, hidden = params.mlp_ratio * w;
  qkv_weight = register_parameter("qkv_weight", xavier(3 * w, w));
  qkv_bias = register_parameter("qkv_bias", torch::zeros(3 * w));
  out_weight = register_parameter("out_weight", xavier(w, w));
  out_bias = register_parameter("out_bias", torch::zeros(w));
  up_weight = register_parameter("up_weight", xavier(hidden, w));
  up_bias = register_parameter("up_bias", torch::zeros(hidden));
  down_weight = register_parameter("down_weight", xavier(w, hidden));
  down_bias = register_parameter("down_bias", torch::zeros(w));
}

Tensor DitBlockImpl::forward(Tensor x, const Tensor* modulation) {
  Tensor seen = attention(project(modulated_norm(x, modulation[0], modulation[1]), qkv_weight), qkv_bias, heads);
  x = gated_residual(x, project(seen, out_weight), out_bias, modulation[2]);
  Tensor hidden = bias_gelu(project(modulated_norm(x, modulation[3], modulation[4]), up_weight), up_bias);
  return gated_residual(x, project(hidden, down_weight), down_bias, modulation[5]);
}

DitImpl::DitImpl(const DitParams& params, const CaptionShape& captions) : params_(params) {
  const int64_t w = params.width, modulations = 6 * params.depth + 2;
  text_ = register_module("text", TextEncoder(w, captions));
  time_hidden_ = register_module("time_hidden", torch::nn::Linear(w, w));
  time_output_ = register_module("time_output", torch::nn::Linear(w, w));
  patch_in_ = register_module("patch_in", torch::nn::Linear(params.patch_size(), w));
  patch_out_ = register_module("patch_out", torch::nn::Linear(w, params.patch_size()));
  positions_ = register_parameter("positions", 0.1 * torch::randn({params.tokens(), w}));
  // Zero modulations and a zero last layer: every block starts as the identity (AdaLN-zero).
  modulation_weight_ = register_parameter("modulation_weight", torch::zeros({modulations * w, w}));
  modulation_bias_ = register_parameter("modulation_bias", torch::zeros({modulations * w}));
  torch::nn::init::zeros_(patch_out_->weight);
  torch::nn::init::zeros_(patch_out_->bias);
  for (int64_t i = 0; i < params.depth; ++i)
    blocks_.push_back(register_module(fmt::format("block{}", i), DitBlock(params)));
  // Periods from 2π/1000 up to 2π over t ∈ [0, 1].
  frequencies_ = register_buffer("frequencies", torch::exp(torch::linspace(0, std::log(1000.0), w / 2)));
}

Tensor DitImpl::forward(const Tensor& patches, const Tensor& time, const Tensor& tokens) {
  Tensor phases = time.unsqueeze(1) * frequencies_;
  Tensor when = time_output_(torch::silu(time_hidden_(torch::cat({phases.cos(), phases.sin()}, 1))));
  Tensor condition = torch::silu(when + text_(tokens));
  std::vector<Tensor> modulations =
      torch::addmm(modulation_bias_, condition, modulation_weight_.t()).split(params_.width, 1);

  Tensor x = patch_in_(patches) + positions_;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Tensor* modulation = &modulations[6 * i];
    if (!params_.recompute) {
      x = blocks_[i]->forward(x, modulation);
      continue;
    }
    std::vector<Tensor> inputs(modulation, modulation + 6);
    inputs.push_back(x);
    x = recomputed([block = blocks_[i]](const auto& in) mutable { return block->forward(in[6], in.data()); }, inputs);
  }
  const Tensor* last = &modulations[6 * blocks_.size()];
  return patch_out_(modulated_norm(x, last[0], last[1]));
}

int64_t DitImpl::backbone_params() const {
  int64_t count = 0;
  for (const auto& parameter : parameters()) count += parameter.numel();
  for (const auto& parameter : text_->parameters()) count -= parameter.numel();
  return count;
}

Tensor patchify(const Tensor& images, int64_t patch) {
  int64_t batch = images.size(0), grid = images.size(2) / patch;
  return images.view({batch, 3, grid, patch, grid, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({batch, grid * grid, 3 * patch * patch});
}

Tensor unpatchify(const Tensor& patches, int64_t patch) {
  int64_t batch = patches.size(0), grid = std::llround(std::sqrt(static_cast<double>(patches.size(1))));
  return patches.view({batch, grid, grid, 3, patch, patch})
      .permute({0, 3, 1, 4, 2, 5})
      .reshape({batch, 3, grid * patch, grid * patch});
}

}  // namespace scalelaw::trainer
