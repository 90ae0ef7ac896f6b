#include "trainer/var/var.h"

#include <cmath>

#include <fmt/format.h>

#include "trainer/nn/fused.h"
#include "trainer/nn/recompute.h"

namespace scalelaw::trainer {

namespace nn = torch::nn;

namespace {

constexpr int64_t kMlpRatio = 4;
/// AdaLN vectors per block (shift, scale and gate for attention and for the MLP) and before the head (shift, scale).
constexpr int64_t kBlockModulations = 6;
constexpr int64_t kHeadModulations = 2;
/// Bounds of the learned temperature of attention between unit vectors.
constexpr double kInitialScale = 4.0;
constexpr double kLargestScale = 100.0;

nn::Linear without_bias(int64_t in, int64_t out) {
  return nn::Linear(nn::LinearOptions(in, out).bias(false));
}

}  // namespace

VarOptions VarOptions::read(Params& params) {
  VarOptions options;
  options.depth = params.integer("depth", options.depth, 1, 64);
  options.width_per_depth = params.integer("width_per_depth", options.width_per_depth, 4, 256);
  options.recompute = params.flag("recompute", options.recompute);
  options.initial_gate = params.number("initial_gate", options.initial_gate, 0, 1);
  return options;
}

VarParameters count_parameters(const VarOptions& options, int64_t condition) {
  int64_t d = options.depth;
  int64_t w = options.width();
  VarParameters count;
  count.backbone = (4 + 2 * kMlpRatio + kBlockModulations) * d * w * w;
  int64_t block_biases = (3 + 1 + kMlpRatio + 1 + kBlockModulations) * w + d;  // d: a temperature per head
  int64_t embeddings = (options.scales.total() + options.scales.count()) * w + (options.code_channels + 1) * w;
  int64_t head = kHeadModulations * (w * w + w) + options.vocabulary * (w + 1);
  count.total = count.backbone + d * block_biases + embeddings + head + condition;
  return count;
}

VarImpl::BlockImpl::BlockImpl(const VarOptions& options) : heads(options.depth) {
  int64_t w = options.width();
  qkv = register_module("qkv", without_bias(w, 3 * w));
  projection = register_module("projection", without_bias(w, w));
  up = register_module("up", without_bias(w, kMlpRatio * w));
  down = register_module("down", without_bias(kMlpRatio * w, w));
  qkv_bias = register_parameter("qkv_bias", torch::zeros({3 * w}));
  projection_bias = register_parameter("projection_bias", torch::zeros({w}));
  up_bias = register_parameter("up_bias", torch::zeros({kMlpRatio * w}));
  down_bias = register_parameter("down_bias", torch::zeros({w}));
  // Branch outputs shrink with depth, so that the residual stream keeps its size.
  double deviation = 1 / std::sqrt(static_cast<double>(w));
  double branch_deviation = 1 / std::sqrt(2.0 * static_cast<double>(options.depth));
  nn::init::normal_(qkv->weight, 0, deviation);
  nn::init::normal_(projection->weight, 0, deviation * branch_deviation);
  nn::init::normal_(up->weight, 0, deviation);
  nn::init::normal_(down->weight, 0, deviation * branch_deviation / std::sqrt(static_cast<double>(kMlpRatio)));
}

torch::Tensor VarImpl::BlockImpl::forward(torch::Tensor x, const torch::Tensor* modulation,
                                          const torch::Tensor& temperature, const std::vector<int64_t>& visible,
                                          torch::Tensor* cache) {
  torch::Tensor rows = qkv(modulated_norm(x, modulation[0], modulation[1]));
  if (cache != nullptr) {
    // Attention is redone for the rows before these: cheaper here than a second kernel, the products are not.
    if (cache->defined()) rows = torch::cat({*cache, rows}, 1);
    *cache = rows;
  }
  torch::Tensor mixed = attention(rows, qkv_bias, heads, visible, temperature);
  if (cache != nullptr) mixed = mixed.narrow(1, rows.size(1) - x.size(1), x.size(1));
  x = gated_residual(x, projection(mixed).contiguous(), projection_bias, modulation[2]);

  torch::Tensor hidden = bias_gelu(up(modulated_norm(x, modulation[3], modulation[4])), up_bias);
  return gated_residual(x, down(hidden), down_bias, modulation[5]);
}

VarImpl::VarImpl(const VarOptions& options) : options_(options), visible_(options.scales.visible()) {
  int64_t w = options.width();
  int64_t d = options.depth;
  text_ = register_module("text", TextEncoder(w, options.captions));
  input_ = register_module("input", nn::Linear(options.code_channels, w));
  position_ = register_parameter("position", torch::randn({options.scales.total(), w}) * 0.5);
  level_ = register_parameter("level", torch::randn({options.scales.count(), w}) * 0.5);
  level_of_ = register_buffer("level_of", torch::tensor(options.scales.levels()));
  log_scale_ = register_parameter("log_scale", torch::full({d, d}, std::log(kInitialScale)));
  // One product for the AdaLN vectors of all blocks and the head: they depend on the condition alone.
  modulation_ = register_module("modulation", nn::Linear(w, (kBlockModulations * d + kHeadModulations) * w));
  nn::init::normal_(modulation_->weight, 0, 0.05);
  nn::init::zeros_(modulation_->bias);
  for (int64_t i = 0; i < d; ++i) {
    blocks_.push_back(register_module(fmt::format("block{}", i), Block(options)));
    torch::NoGradGuard no_grad;
    modulation_->bias.narrow(0, (kBlockModulations * i + 2) * w, w).fill_(options.initial_gate);
    modulation_->bias.narrow(0, (kBlockModulations * i + 5) * w, w).fill_(options.initial_gate);
  }
  head_ = register_module("head", nn::Linear(w, options.vocabulary));
  nn::init::normal_(head_->weight, 0, 0.05);
  nn::init::zeros_(head_->bias);
}

torch::Tensor VarImpl::condition(const torch::Tensor& caption) {
  return text_(caption);
}

torch::Tensor VarImpl::places(int64_t begin, int64_t end) {
  torch::Tensor levels = torch::embedding(level_, level_of_.slice(0, begin, end));
  return position_.slice(0, begin, end) + levels;
}

torch::Tensor VarImpl::transform(torch::Tensor x, const torch::Tensor& condition, int64_t begin, Cache* cache) {
  int64_t end = begin + x.size(1);
  std::vector<int64_t> visible(visible_.begin(), visible_.begin() + end);
  std::vector<torch::Tensor> modulations = modulation_(torch::silu(condition)).split(options_.width(), 1);
  std::vector<torch::Tensor> scales = log_scale_.clamp_max(std::log(kLargestScale)).exp().unbind(0);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const torch::Tensor* modulation = &modulations[kBlockModulations * i];
    if (!options_.recompute || cache != nullptr) {
      x = blocks_[i]->forward(x, modulation, scales[i], visible, cache ? &(*cache)[i] : nullptr);
      continue;
    }
    std::vector<torch::Tensor> inputs(modulation, modulation + kBlockModulations);
    inputs.insert(inputs.end(), {x, scales[i]});
    auto block = [block = blocks_[i], visible](const auto& in) mutable {
      return block->forward(in[6], in.data(), in[7], visible, nullptr);
    };
    x = recomputed(block, inputs);
  }
  const torch::Tensor* last = &modulations[kBlockModulations * blocks_.size()];
  return head_(modulated_norm(x, last[0], last[1]));
}

torch::Tensor VarImpl::forward(const torch::Tensor& inputs, const torch::Tensor& condition) {
  int64_t first = options_.scales.tokens(0);
  torch::Tensor start = condition.unsqueeze(1).expand({-1, first, -1});
  torch::Tensor x = torch::cat({start, input_(inputs)}, 1) + places(0, options_.scales.total());
  return transform(x, condition, 0, nullptr);
}

torch::Tensor VarImpl::step(const torch::Tensor& inputs, const torch::Tensor& condition, int64_t k, Cache& cache) {
  if (k == 0) cache.assign(blocks_.size(), {});
  int64_t begin = options_.scales.begin(k);
  torch::Tensor start = k == 0 ? condition.unsqueeze(1).expand({-1, options_.scales.tokens(0), -1}) : input_(inputs);
  return transform(start + places(begin, options_.scales.end(k)), condition, begin, &cache);
}

}  // namespace scalelaw::trainer
