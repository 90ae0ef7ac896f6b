#include "trainer/diffusion/dit.h"

#include <cmath>

#include <fmt/format.h>

#include "trainer/nn/cross_attention.h"
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

DitParams DitParams::read(Params& params, int64_t resolution, const CaptionShape& captions) {
  DitParams dit;
  dit.resolution = resolution;
  dit.captions = captions;
  dit.text_length = captions.length;
  dit.width = params.integer("width", dit.width, 8, 4096);
  dit.depth = params.integer("depth", dit.depth, 1, 128);
  // Heads of 32 unless told otherwise.
  dit.heads = params.integer("heads", std::max<int64_t>(1, dit.width / 32), 1, 256);
  dit.patch = params.integer("patch", dit.patch, 1, 16);
  dit.mlp_ratio = params.integer("mlp_ratio", dit.mlp_ratio, 1, 8);
  dit.cross_attention = params.choice("conditioning", "pooled", {"pooled", "cross-attention"}) == "cross-attention";
  dit.adaln_single = params.choice("adaln", "block", {"block", "single"}) == "single";
  dit.mixture = MixtureOfDepths::read(params);
  dit.recompute = params.flag("recompute", dit.recompute);
  dit.image_channels = params.integer("image_channels", dit.image_channels, 1, 64);
  if (dit.cross_attention) {
    dit.text_length = params.integer("text_length", dit.text_length, 1, 4096);
    dit.text_width = params.integer("text_width", dit.width, 4, 16384);
  }
  if (dit.width % (2 * dit.heads) != 0) {
    throw BadRun(fmt::format("heads: must divide half the width ({}), not {}", dit.width / 2, dit.heads));
  }
  if (resolution % dit.patch != 0) {
    throw BadRun(fmt::format("patch: must divide the resolution ({}), not {}", resolution, dit.patch));
  }
  if (dit.mixture.on() && dit.mixture.every > dit.depth) {
    throw BadRun(fmt::format("mod_every: {} routes none of {} blocks", dit.mixture.every, dit.depth));
  }
  return dit;
}

ModelCost cost_of(const DitParams& params) {
  const int64_t w = params.width;
  const auto words = static_cast<double>(params.text_length);
  ModelCost cost;
  cost.linear(1, w, w);  // time
  cost.linear(1, w, w);
  cost.linear(1, w, params.modulations() * w);
  if (params.adaln_single) cost.learned(params.depth * 6 * w);
  cost.linear(static_cast<double>(params.tokens()), params.patch_size(), w);
  cost.learned(params.tokens() * w);  // positions
  const double before = cost.weight_macs;
  for (int64_t i = 0; i < params.depth; ++i) {
    const bool routed = params.mixture.routes(i);
    if (routed) cost.linear(static_cast<double>(params.tokens()), w, 1, false);
    const auto tokens = static_cast<double>(routed ? params.mixture.taken(params.tokens()) : params.tokens());
    cost.linear(tokens, w, 3 * w);
    cost.attention(tokens, tokens, w);
    cost.linear(tokens, w, w);
    if (params.cross_attention) {
      cost.linear(tokens, w, w);
      cost.linear(words, params.text_width, 2 * w);
      cost.attention(tokens, words, w);
      cost.linear(tokens, w, w);
    }
    cost.linear(tokens, w, params.mlp_ratio * w);
    cost.linear(tokens, params.mlp_ratio * w, w);
  }
  cost.transformer_macs = cost.weight_macs - before;
  cost.linear(static_cast<double>(params.tokens()), w, params.patch_size());
  if (takes_data(params.image_channels, params.text_length, params.captions)) {
    cost.beside(params.cross_attention ? CaptionStatesImpl::cost(params.text_width, params.captions)
                                       : TextEncoderImpl::cost(w, params.captions));
  }
  return cost;
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
  if (!params.cross_attention) return;
  query = register_module("query", torch::nn::Linear(w, w));
  key_value = register_module("key_value", torch::nn::Linear(params.text_width, 2 * w));
  cross_out = register_module("cross_out", torch::nn::Linear(w, w));
  // It has no gate: it starts as nothing.
  torch::nn::init::zeros_(cross_out->weight);
  torch::nn::init::zeros_(cross_out->bias);
}

Tensor DitBlockImpl::forward(Tensor x, const Tensor* modulation, const Tensor& text, CrossAttentionCache* cache) {
  Tensor seen = attention(project(modulated_norm(x, modulation[0], modulation[1]), qkv_weight), qkv_bias, heads);
  x = gated_residual(x, project(seen, out_weight), out_bias, modulation[2]);
  if (query) {
    auto attend = [&] { return cross_out(cross_attention(query(x), key_value(text), heads)); };
    x = x + (cache != nullptr ? (*cache)(attend) : attend());
  }
  Tensor hidden = bias_gelu(project(modulated_norm(x, modulation[3], modulation[4]), up_weight), up_bias);
  return gated_residual(x, project(hidden, down_weight), down_bias, modulation[5]);
}

DitImpl::DitImpl(const DitParams& params) : params_(params) {
  require_data(params.image_channels, params.text_length, params.captions);
  const int64_t w = params.width;
  if (params.cross_attention) {
    text_ = register_module("text", CaptionStates(params.text_width, params.captions));
  } else {
    pooled_text_ = register_module("text", TextEncoder(w, params.captions));
  }
  time_hidden_ = register_module("time_hidden", torch::nn::Linear(w, w));
  time_output_ = register_module("time_output", torch::nn::Linear(w, w));
  patch_in_ = register_module("patch_in", torch::nn::Linear(params.patch_size(), w));
  patch_out_ = register_module("patch_out", torch::nn::Linear(w, params.patch_size()));
  positions_ = register_parameter("positions", 0.1 * torch::randn({params.tokens(), w}));
  // Zero modulations and a zero last layer: every block starts as the identity (AdaLN-zero).
  modulation_weight_ = register_parameter("modulation_weight", torch::zeros({params.modulations() * w, w}));
  modulation_bias_ = register_parameter("modulation_bias", torch::zeros({params.modulations() * w}));
  if (params.adaln_single) {
    block_modulation_ = register_parameter("block_modulation", torch::zeros({params.depth, 6 * w}));
  }
  torch::nn::init::zeros_(patch_out_->weight);
  torch::nn::init::zeros_(patch_out_->bias);
  for (int64_t i = 0; i < params.depth; ++i) {
    blocks_.push_back(register_module(fmt::format("block{}", i), DitBlock(params)));
    routers_.emplace_back(nullptr);
    if (params.mixture.routes(i)) routers_.back() = register_module(fmt::format("router{}", i), Router(w));
  }
  // Periods from 2π/1000 up to 2π over t ∈ [0, 1].
  frequencies_ = register_buffer("frequencies", torch::exp(torch::linspace(0, std::log(1000.0), w / 2)));
}

Tensor DitImpl::forward(const Tensor& patches, const Tensor& time, const Tensor& tokens, CrossAttentionCache* cache) {
  Tensor phases = time.unsqueeze(1) * frequencies_;
  Tensor when = time_output_(torch::silu(time_hidden_(torch::cat({phases.cos(), phases.sin()}, 1))));
  Tensor condition = torch::silu(params_.cross_attention ? when : when + pooled_text_(tokens));
  Tensor text = params_.cross_attention && tokens.defined() ? text_(tokens) : Tensor();  // [B, L, t]
  Tensor all = torch::addmm(modulation_bias_, condition, modulation_weight_.t());
  std::vector<Tensor> modulations = all.split(params_.width, 1);

  Tensor x = patch_in_(patches) + positions_;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    std::vector<Tensor> own;
    if (params_.adaln_single) {
      own = (all.narrow(1, 0, 6 * params_.width) + block_modulation_[static_cast<int64_t>(i)]).split(params_.width, 1);
    }
    const Tensor* modulation = params_.adaln_single ? own.data() : &modulations[6 * i];
    auto block = [&](const Tensor& rows) { return run_block(i, rows, modulation, text, cache); };
    if (routers_[i]) {
      Tensor weights = routers_[i](x);
      x = route(x, choose(weights, params_.mixture.taken(params_.tokens())), weights, block);
    } else {
      x = block(x);
    }
  }
  const Tensor* last = &modulations[modulations.size() - 2];
  return patch_out_(modulated_norm(x, last[0], last[1]));
}

Tensor DitImpl::run_block(size_t i, const Tensor& x, const Tensor* modulation, const Tensor& text,
                          CrossAttentionCache* cache) {
  if (!params_.recompute || cache != nullptr) return blocks_[i]->forward(x, modulation, text, cache);
  std::vector<Tensor> inputs(modulation, modulation + 6);
  inputs.push_back(x);
  if (text.defined()) inputs.push_back(text);
  auto block = [block = blocks_[i]](const auto& in) mutable {
    return block->forward(in[6], in.data(), in.size() > 7 ? in[7] : Tensor());
  };
  return recomputed(block, inputs);
}

Tensor DitImpl::arrange(const Tensor& images) const {
  return patchify(images, params_.patch);
}

Tensor DitImpl::restore(const Tensor& x) const {
  return unpatchify(x, params_.patch);
}

Tensor patchify(const Tensor& images, int64_t patch) {
  const int64_t batch = images.size(0), channels = images.size(1), grid = images.size(2) / patch;
  return images.view({batch, channels, grid, patch, grid, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({batch, grid * grid, channels * patch * patch});
}

Tensor unpatchify(const Tensor& patches, int64_t patch) {
  const int64_t batch = patches.size(0), channels = patches.size(2) / (patch * patch);
  const int64_t grid = std::llround(std::sqrt(static_cast<double>(patches.size(1))));
  return patches.view({batch, grid, grid, channels, patch, patch})
      .permute({0, 3, 1, 4, 2, 5})
      .reshape({batch, channels, grid * patch, grid * patch});
}

std::vector<Preset> dit_presets() {
  nlohmann::json style = {{"conditioning", "cross-attention"}, {"adaln", "single"}};
  nlohmann::json pixart = {{"width", 1152},    {"depth", 28},         {"heads", 16},       {"patch", 2},
                           {"resolution", 32}, {"image_channels", 4}, {"text_length", 77}, {"text_width", 1024}};
  pixart.update(style);
  std::vector<Preset> presets = {{.name = "pixart-alpha", .params = pixart}};
  for (int64_t width : {32, 64, 128}) {
    nlohmann::json small = {{"width", width}, {"depth", 2}};
    presets.push_back({.name = fmt::format("dit-w{}-d2", width), .params = small});
    small.update(style);
    presets.push_back({.name = fmt::format("pixart-w{}-d2", width), .params = small});
  }
  return presets;
}

}  // namespace scalelaw::trainer
