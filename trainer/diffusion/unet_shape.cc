#include "trainer/diffusion/unet_shape.h"

#include <algorithm>

#include <fmt/format.h>

#include "trainer/diffusion/caption_states.h"
#include "trainer/diffusion/denoiser.h"

namespace scalelaw::trainer {
namespace {

using Kind = UnetPart::Kind;

void add_residual(ModelCost& cost, const UnetShape& shape, const UnetPart& part) {
  const bool shifts_and_scales = shape.attention == UnetShape::Attention::kAddedKv;
  cost.learned(2 * part.in + 2 * part.out);  // norms
  cost.convolution(part.side, part.in, part.out, 3);
  cost.linear(1, shape.time_width(), (shifts_and_scales ? 2 : 1) * part.out);
  cost.convolution(part.side, part.out, part.out, 3);
  if (part.in != part.out) cost.convolution(part.side, part.in, part.out, 1);
}

void add_transformer(ModelCost& cost, const UnetShape& shape, const UnetPart& part) {
  const int64_t c = part.out;
  const auto places = static_cast<double>(part.side * part.side), words = static_cast<double>(shape.text_length);
  cost.learned(2 * c);  // norm
  if (shape.attention == UnetShape::Attention::kAddedKv) {
    cost.linear(places, c, 3 * c);
    cost.linear(words, shape.text_width, 2 * c);
    cost.attention(places, places + words, c);
    cost.linear(places, c, c);
    return;
  }
  cost.linear(places, c, c);
  for (int64_t i = 0; i < part.depth; ++i) {
    cost.learned(6 * c);  // three norms
    cost.linear(places, c, 3 * c, false);
    cost.attention(places, places, c);
    cost.linear(places, c, c);
    cost.linear(places, c, c, false);
    cost.linear(words, shape.text_width, 2 * c, false);
    cost.attention(places, words, c);
    cost.linear(places, c, c);
    cost.linear(places, c, 8 * c);  // twice 4c: values and gates
    cost.linear(places, 4 * c, c);
  }
  cost.linear(places, c, c);
}

void add_resampling(ModelCost& cost, const UnetShape& shape, const UnetPart& part) {
  if (shape.attention == UnetShape::Attention::kAddedKv) return add_residual(cost, shape, part);
  cost.convolution(part.side, part.in, part.out, 3);
}

}  // namespace

UnetShape UnetShape::read(Params& params, int64_t resolution, const CaptionShape& captions) {
  UnetShape shape;
  shape.resolution = resolution;
  shape.captions = captions;
  shape.channels = params.integer("channels", shape.channels, 8, 4096);
  shape.multipliers = params.integers("multipliers", shape.multipliers, 1, 64);
  shape.res_blocks = params.integer("res_blocks", shape.res_blocks, 1, 16);
  shape.transformer_depth = params.integers("transformer_depth", shape.transformer_depth, 0, 64);
  shape.middle_depth = params.integer("middle_depth", std::max<int64_t>(1, shape.transformer_depth.back()), 1, 64);
  shape.head_width = params.integer("head_width", shape.head_width, 4, 256);
  if (params.choice("attention", "transformer", {"transformer", "added-kv"}) == "added-kv") {
    shape.attention = Attention::kAddedKv;
  }
  shape.recompute = params.flag("recompute", shape.recompute);
  shape.image_channels = params.integer("image_channels", shape.image_channels, 1, 64);
  shape.text_length = params.integer("text_length", captions.length, 1, 4096);
  shape.text_width = params.integer("text_width", shape.text_width, 4, 16384);

  if (shape.channels % 2 != 0) throw BadRun(fmt::format("channels: must be even, not {}", shape.channels));
  const auto levels = static_cast<int64_t>(shape.multipliers.size());
  if (shape.transformer_depth.size() != shape.multipliers.size()) {
    throw BadRun(fmt::format("transformer_depth: must have as many numbers as multipliers ({}), not {}", levels,
                             shape.transformer_depth.size()));
  }
  if (resolution % (int64_t{1} << (levels - 1)) != 0) {
    throw BadRun(fmt::format("multipliers: {} levels halve the side {} times, which resolution {} does not allow",
                             levels, levels - 1, resolution));
  }
  for (const UnetPart& part : unet_parts(shape)) {
    if (part.kind == Kind::kTransformer && part.out % shape.head_width != 0) {
      throw BadRun(fmt::format("head_width: must divide the {} channels of a level with attention, not {}", part.out,
                               shape.head_width));
    }
  }
  return shape;
}

int64_t norm_groups(int64_t channels) {
  int64_t groups = std::min<int64_t>(32, channels / 4);
  while (channels % groups != 0) --groups;
  return groups;
}

std::vector<UnetPart> unet_parts(const UnetShape& shape) {
  std::vector<UnetPart> parts;
  std::vector<int64_t> kept = {shape.channels};
  int64_t width = shape.channels, side = shape.resolution;
  auto keep_last = [&] {
    parts.back().keeps = true;
    kept.push_back(parts.back().out);
  };

  const size_t levels = shape.multipliers.size();
  for (size_t level = 0; level < levels; ++level) {
    const int64_t out = shape.multipliers[level] * shape.channels, depth = shape.transformer_depth[level];
    for (int64_t i = 0; i < shape.res_blocks; ++i, width = out) {
      parts.push_back({.kind = Kind::kResidual, .in = width, .out = out, .side = side});
      if (depth > 0) parts.push_back({.kind = Kind::kTransformer, .in = out, .out = out, .side = side, .depth = depth});
      keep_last();
    }
    if (level + 1 == levels) break;
    side /= 2;
    parts.push_back({.kind = Kind::kHalve, .in = width, .out = width, .side = side});
    keep_last();
  }

  UnetPart middle = {.kind = Kind::kResidual, .in = width, .out = width, .side = side, .in_middle = true};
  parts.push_back(middle);
  parts.push_back(middle);
  parts.back().kind = Kind::kTransformer;
  parts.back().depth = shape.middle_depth;
  parts.push_back(middle);

  for (size_t level = levels; level-- > 0;) {
    const int64_t out = shape.multipliers[level] * shape.channels, depth = shape.transformer_depth[level];
    for (int64_t i = 0; i <= shape.res_blocks; ++i, width = out) {
      parts.push_back({.kind = Kind::kResidual, .in = width + kept.back(), .out = out, .side = side, .takes = true});
      kept.pop_back();
      if (depth > 0) parts.push_back({.kind = Kind::kTransformer, .in = out, .out = out, .side = side, .depth = depth});
    }
    if (level == 0) break;
    side *= 2;
    parts.push_back({.kind = Kind::kDouble, .in = width, .out = width, .side = side});
  }
  return parts;
}

ModelCost cost_of(const UnetShape& shape) {
  ModelCost cost;
  cost.linear(1, shape.channels, shape.time_width());
  cost.linear(1, shape.time_width(), shape.time_width());
  cost.convolution(shape.resolution, shape.image_channels, shape.channels, 3);
  for (const UnetPart& part : unet_parts(shape)) {
    if (part.kind == Kind::kTransformer) {
      const double before = cost.weight_macs;
      add_transformer(cost, shape, part);
      if (!part.in_middle) cost.transformer_macs += cost.weight_macs - before;
    } else if (part.kind == Kind::kResidual) {
      add_residual(cost, shape, part);
    } else {
      add_resampling(cost, shape, part);
    }
  }
  cost.learned(2 * shape.channels);  // last norm
  cost.convolution(shape.resolution, shape.channels, shape.image_channels, 3);
  if (takes_data(shape.image_channels, shape.text_length, shape.captions)) {
    cost.beside(CaptionStatesImpl::cost(shape.text_width, shape.captions));
  }
  return cost;
}

namespace {

// The paper's models: a latent of 32×32×4 for 256 pixels, and 77 × 1024 of OpenCLIP ViT-H, with which all its UNets,
// SDXL's too, have the parameters that it prints.
Preset published(const std::string& name, int64_t channels, const char* multipliers, int64_t res_blocks,
                 const char* depths, const char* attention = "transformer") {
  return {.name = name,
          .params = {{"channels", channels},
                     {"multipliers", multipliers},
                     {"res_blocks", res_blocks},
                     {"transformer_depth", depths},
                     {"head_width", 64},
                     {"attention", attention},
                     {"resolution", 32},
                     {"image_channels", 4},
                     {"text_length", 77},
                     {"text_width", 1024}}};
}

Preset small(int64_t channels, int64_t depth) {
  return {.name = fmt::format("unet-c{}-td0-{}", channels, depth),
          .params = {{"channels", channels}, {"transformer_depth", fmt::format("0,{}", depth)}}};
}

}  // namespace

std::vector<Preset> unet_presets() {
  std::vector<Preset> presets = {
      published("sd2", 320, "1,2,4,4", 2, "1,1,1,0"),
      published("sd2-c512", 512, "1,2,4,4", 2, "1,1,1,0"),
      published("if-xl-c512", 512, "1,2,3,4", 3, "1,1,1,0", "added-kv"),
      published("if-xl", 704, "1,2,3,4", 3, "1,1,1,0", "added-kv"),
      published("sdxl-c128", 128, "1,2,4", 2, "0,2,10"),
      published("sdxl-c192", 192, "1,2,4", 2, "0,2,10"),
      published("sdxl", 320, "1,2,4", 2, "0,2,10"),
      published("sdxl-c384", 384, "1,2,4", 2, "0,2,10"),
      published("sdxl-td2", 320, "1,2,4", 2, "0,2,2"),
      published("sdxl-td4", 320, "1,2,4", 2, "0,2,4"),
      published("sdxl-td12", 320, "1,2,4", 2, "0,2,12"),
      published("sdxl-td14", 320, "1,2,4", 2, "0,2,14"),
      published("sdxl-td4-4", 320, "1,2,4", 2, "0,4,4"),
      published("sdxl-td4-8", 320, "1,2,4", 2, "0,4,8"),
      published("sdxl-td4-12", 320, "1,2,4", 2, "0,4,12"),
      published("sdxl-c384-td4-12", 384, "1,2,4", 2, "0,4,12"),
  };
  for (int64_t channels : {16, 32, 48, 64}) {
    for (int64_t depth : {1, 2, 4}) presets.push_back(small(channels, depth));
  }
  return presets;
}

}  // namespace scalelaw::trainer
