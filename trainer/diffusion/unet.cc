#include "trainer/diffusion/unet.h"

#include <cmath>

#include <fmt/format.h>

#include "trainer/nn/cross_attention.h"
#include "trainer/nn/fused.h"
#include "trainer/nn/recompute.h"

namespace scalelaw::trainer {

namespace nn = torch::nn;
using torch::Tensor;

namespace {

nn::Conv2d convolution(int64_t in, int64_t out, int64_t kernel = 3, int64_t stride = 1) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).padding(kernel / 2).stride(stride));
}

nn::Linear without_bias(int64_t in, int64_t out) {
  return nn::Linear(nn::LinearOptions(in, out).bias(false));
}

nn::GroupNorm group_norm(int64_t channels) {
  return nn::GroupNorm(nn::GroupNormOptions(norm_groups(channels), channels).eps(1e-5));
}

// The last layer of a branch starts at zero, so that the branch starts as nothing.
template <typename Layer>
Layer zeroed(Layer layer) {
  nn::init::zeros_(layer->weight);
  nn::init::zeros_(layer->bias);
  return layer;
}

Tensor resampled(const Tensor& x, UnetPart::Kind kind) {
  if (kind == UnetPart::Kind::kHalve) return torch::avg_pool2d(x, 2);
  if (kind == UnetPart::Kind::kDouble) return torch::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)});
  return x;
}

Tensor as_tokens(const Tensor& x) {
  return x.flatten(2).transpose(1, 2).contiguous();
}
Tensor as_image(const Tensor& tokens, const Tensor& like) {
  return tokens.transpose(1, 2).reshape(like.sizes());
}

}  // namespace

ResidualBlockImpl::ResidualBlockImpl(const UnetShape& shape, const UnetPart& part)
    : resampling(part.kind), shifts_and_scales(shape.attention == UnetShape::Attention::kAddedKv) {
  first_norm = register_module("first_norm", group_norm(part.in));
  first = register_module("first", convolution(part.in, part.out));
  time_projection =
      register_module("time_projection", nn::Linear(shape.time_width(), (shifts_and_scales ? 2 : 1) * part.out));
  second_norm = register_module("second_norm", group_norm(part.out));
  second = register_module("second", zeroed(convolution(part.out, part.out)));
  if (part.in != part.out) skip = register_module("skip", convolution(part.in, part.out, 1));
}

Tensor ResidualBlockImpl::forward(Tensor x, const Tensor& time) {
  Tensor branch = first(resampled(torch::silu(first_norm(x)), resampling));
  Tensor when = time_projection(time).unsqueeze(2).unsqueeze(3);
  if (shifts_and_scales) {
    auto parts = when.chunk(2, 1);
    branch = second_norm(branch) * (1 + parts[0]) + parts[1];
  } else {
    branch = second_norm(branch + when);
  }
  branch = second(torch::silu(branch));
  x = resampled(x, resampling);
  return (skip ? skip(x) : x) + branch;
}

TextBlockImpl::TextBlockImpl(int64_t c, int64_t head_width, int64_t text_width) : heads(c / head_width) {
  norm1 = register_module("norm1", nn::LayerNorm(nn::LayerNormOptions({c})));
  qkv = register_module("qkv", without_bias(c, 3 * c));
  self_out = register_module("self_out", nn::Linear(c, c));
  norm2 = register_module("norm2", nn::LayerNorm(nn::LayerNormOptions({c})));
  query = register_module("query", without_bias(c, c));
  key_value = register_module("key_value", without_bias(text_width, 2 * c));
  cross_out = register_module("cross_out", nn::Linear(c, c));
  norm3 = register_module("norm3", nn::LayerNorm(nn::LayerNormOptions({c})));
  up = register_module("up", nn::Linear(c, 8 * c));
  down = register_module("down", nn::Linear(4 * c, c));
}

Tensor TextBlockImpl::forward(Tensor x, const Tensor& text, CrossAttentionCache* cache) {
  x = x + self_out(attention(qkv(norm1(x)), torch::zeros({3 * x.size(2)}, x.options()), heads));
  auto attend = [&] { return cross_out(cross_attention(query(norm2(x)), key_value(text), heads)); };
  x = x + (cache != nullptr ? (*cache)(attend) : attend());
  auto halves = up(norm3(x)).chunk(2, 2);
  return x + down(halves[0] * torch::gelu(halves[1]));
}

SpatialTransformerImpl::SpatialTransformerImpl(const UnetShape& shape, const UnetPart& part) {
  norm = register_module("norm", group_norm(part.out));
  in = register_module("in", nn::Linear(part.out, part.out));
  for (int64_t i = 0; i < part.depth; ++i) {
    blocks.push_back(
        register_module(fmt::format("block{}", i), TextBlock(part.out, shape.head_width, shape.text_width)));
  }
  out = register_module("out", zeroed(nn::Linear(part.out, part.out)));
}

Tensor SpatialTransformerImpl::forward(const Tensor& x, const Tensor& text, CrossAttentionCache* cache) {
  Tensor tokens = in(as_tokens(norm(x)));
  for (TextBlock& block : blocks) tokens = block(tokens, text, cache);
  return x + as_image(out(tokens), x);
}

AddedKvAttentionImpl::AddedKvAttentionImpl(const UnetShape& shape, const UnetPart& part)
    : heads(part.out / shape.head_width) {
  const int64_t c = part.out;
  norm = register_module("norm", group_norm(c));
  qkv = register_module("qkv", nn::Linear(c, 3 * c));
  text_key_value = register_module("text_key_value", nn::Linear(shape.text_width, 2 * c));
  out = register_module("out", zeroed(nn::Linear(c, c)));
}

Tensor AddedKvAttentionImpl::forward(const Tensor& x, const Tensor& text) {
  const int64_t c = x.size(1);
  Tensor projected = qkv(as_tokens(norm(x)));
  Tensor key_value = torch::cat({text_key_value(text), projected.narrow(2, c, 2 * c)}, 1);
  return x + as_image(out(cross_attention(projected.narrow(2, 0, c).contiguous(), key_value, heads)), x);
}

UnetImpl::UnetImpl(const UnetShape& shape) : shape_(shape) {
  require_data(shape.image_channels, shape.text_length, shape.captions);
  const int64_t c = shape.channels, time_width = shape.time_width();
  text_ = register_module("text", CaptionStates(shape.text_width, shape.captions));
  time_hidden_ = register_module("time_hidden", nn::Linear(c, time_width));
  time_output_ = register_module("time_output", nn::Linear(time_width, time_width));
  in_ = register_module("in", convolution(shape.image_channels, c));
  for (const UnetPart& part : unet_parts(shape)) stages_.push_back(make_stage(part, stages_.size()));
  norm_ = register_module("norm", group_norm(c));
  out_ = register_module("out", zeroed(convolution(c, shape.image_channels)));
  // Periods from 2π/1000 up to 2π over t ∈ [0, 1].
  frequencies_ = register_buffer("frequencies", torch::exp(torch::linspace(0, std::log(1000.0), c / 2)));
}

UnetImpl::Stage UnetImpl::make_stage(const UnetPart& part, size_t index) {
  const std::string name = fmt::format("part{}", index);
  const bool added_kv = shape_.attention == UnetShape::Attention::kAddedKv;
  Stage stage{part};
  if (part.kind == UnetPart::Kind::kTransformer && added_kv) {
    stage.attention = register_module(name, AddedKvAttention(shape_, part));
  } else if (part.kind == UnetPart::Kind::kTransformer) {
    stage.transformer = register_module(name, SpatialTransformer(shape_, part));
  } else if (part.kind == UnetPart::Kind::kResidual || added_kv) {
    stage.residual = register_module(name, ResidualBlock(shape_, part));
  } else {
    const int64_t stride = part.kind == UnetPart::Kind::kHalve ? 2 : 1;
    stage.resampling = register_module(name, convolution(part.in, part.out, 3, stride));
  }
  return stage;
}

Tensor UnetImpl::run(Stage& stage, const Tensor& x, const Tensor& time, const Tensor& text,
                     CrossAttentionCache* cache) {
  if (stage.residual) return stage.residual(x, time);
  if (stage.transformer) return stage.transformer(x, text, cache);
  if (stage.attention) return stage.attention(x, text);
  return stage.resampling(stage.part.kind == UnetPart::Kind::kDouble ? resampled(x, stage.part.kind) : x);
}

Tensor UnetImpl::forward(const Tensor& images, const Tensor& time, const Tensor& tokens, CrossAttentionCache* cache) {
  Tensor phases = time.unsqueeze(1) * frequencies_;
  Tensor when = torch::cat({phases.cos(), phases.sin()}, 1);
  when = torch::silu(time_output_(torch::silu(time_hidden_(when))));
  Tensor text = tokens.defined() ? text_(tokens) : Tensor();  // [B, L, t]

  Tensor x = in_(images);
  std::vector<Tensor> kept = {x};
  for (Stage& stage : stages_) {
    if (stage.part.takes) {
      x = torch::cat({x, kept.back()}, 1);
      kept.pop_back();
    }
    if (shape_.recompute && cache == nullptr) {
      auto part = [this, &stage](const auto& in) { return run(stage, in[0], in[1], in[2], nullptr); };
      x = recomputed(part, {x, when, text});
    } else {
      x = run(stage, x, when, text, cache);
    }
    if (stage.part.keeps) kept.push_back(x);
  }
  return out_(torch::silu(norm_(x)));
}

std::vector<int64_t> UnetImpl::layout() const {
  return {shape_.image_channels, shape_.resolution, shape_.resolution};
}

}  // namespace scalelaw::trainer
