#include "trainer/var/var.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "trainer/data/scenes.h"
#include "trainer/nn/cross_attention.h"
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

int64_t predictor_width(int64_t w) {
  return std::max<int64_t>(8, w / 4);
}

// The object that each caption names; `none` where it names none. tokens [B, L] -> [B]
torch::Tensor objects_named(const torch::Tensor& tokens, int64_t none) {
  const int64_t first = Vocabulary::of_scenes(1).encode(kObjectNames.front(), 1)[0];
  torch::Tensor object = tokens - first;
  torch::Tensor found = (object >= 0) & (object < kObjects);
  return torch::where(found.any(1), (object * found).amax(1), torch::full_like(object.select(1, 0), none));
}

}  // namespace

VarOptions VarOptions::read(Params& params) {
  VarOptions options;
  options.depth = params.integer("depth", options.depth, 1, 64);
  options.width_per_depth = params.integer("width_per_depth", options.width_per_depth, 4, 256);
  options.recompute = params.flag("recompute", options.recompute);
  options.initial_gate = params.number("initial_gate", options.initial_gate, 0, 1);
  options.drop_path = params.number("drop_path", options.drop_path, 0, 0.9);
  const std::string condition = params.choice("condition", "caption", {"caption", "class", "imagenet"});
  if (condition == "class") options.classes = kObjects;
  if (condition == "imagenet") {
    // 256 pixels as in the paper.
    options.classes = 1000;
    options.scales = Scales({1, 2, 3, 4, 5, 6, 8, 10, 13, 16});
    options.vocabulary = 4096;
    options.code_channels = 32;
  }
  options.mixture = MixtureOfDepths::read(params);
  if (options.mixture.on()) {
    if (options.mixture.every > options.depth) {
      throw BadRun(fmt::format("mod_every: {} routes none of {} blocks", options.mixture.every, options.depth));
    }
    const bool predictor = params.choice("mod_causal", "auxiliary", {"auxiliary", "predictor"}) == "predictor";
    options.causal_choice = predictor ? CausalChoice::kPredictor : CausalChoice::kAuxiliaryLoss;
  }
  return options;
}

ModelCost cost_of(const VarOptions& options) {
  const int64_t d = options.depth, w = options.width(), all = options.scales.total();
  const auto tokens = static_cast<double>(all);
  ModelCost cost;
  cost.linear(tokens - static_cast<double>(options.scales.tokens(0)), options.code_channels, w);
  cost.learned((all + options.scales.count()) * w);  // position and level
  cost.linear(1, w, (kBlockModulations * d + kHeadModulations) * w);
  cost.learned(d * d);  // a temperature per head
  const double before = cost.weight_macs;
  for (int64_t i = 0; i < d; ++i) {
    const bool routed = options.mixture.routes(i);
    const auto taken = static_cast<double>(routed ? options.mixture.taken(all) : all);
    if (routed) cost.linear(tokens, w, 1, false);
    if (routed && options.causal_choice == VarOptions::CausalChoice::kPredictor) {
      cost.linear(tokens, w, predictor_width(w));
      cost.linear(tokens, predictor_width(w), 1);
    }
    cost.linear(taken, w, 3 * w);
    cost.attention(taken, taken, w);  // masked pairs included, as the papers count
    cost.linear(taken, w, w);
    cost.linear(taken, w, kMlpRatio * w);
    cost.linear(taken, kMlpRatio * w, w);
  }
  cost.transformer_macs = cost.weight_macs - before;
  cost.linear(tokens, w, options.vocabulary);
  cost.params = (4 + 2 * kMlpRatio + kBlockModulations) * d * w * w;
  if (options.classes > 0) {
    cost.params_total += (options.classes + 1) * w;
  } else {
    cost.beside(TextEncoderImpl::cost(w, options.captions));
  }
  return cost;
}

VarImpl::BlockImpl::BlockImpl(const VarOptions& options) {
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

VarImpl::VarImpl(const VarOptions& options) : options_(options), visible_(options.scales.visible()) {
  int64_t w = options.width();
  int64_t d = options.depth;
  if (options.classes > 0) {
    class_ = register_module("class", nn::Embedding(options.classes + 1, w));
  } else {
    text_ = register_module("text", TextEncoder(w, options.captions));
  }
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
  for (int64_t i = 0; i < d; ++i) {
    routers_.emplace_back(nullptr);
    predictors_.emplace_back(nullptr);
    if (!options.mixture.routes(i)) continue;
    routers_.back() = register_module(fmt::format("router{}", i), Router(w));
    if (options.causal_choice != VarOptions::CausalChoice::kPredictor) continue;
    const int64_t hidden = predictor_width(w);
    predictors_.back() = register_module(fmt::format("predictor{}", i),
                                         nn::Sequential(nn::Linear(w, hidden), nn::SiLU(), nn::Linear(hidden, 1)));
  }
}

torch::Tensor VarImpl::condition(const torch::Tensor& caption) {
  return class_ ? class_(objects_named(caption, options_.classes)) : text_(caption);
}

torch::Tensor VarImpl::places(int64_t begin, int64_t end) {
  torch::Tensor levels = torch::embedding(level_, level_of_.slice(0, begin, end));
  return position_.slice(0, begin, end) + levels;
}

torch::Tensor VarImpl::run_block(size_t i, const torch::Tensor& x, const torch::Tensor* modulation,
                                 const torch::Tensor& scale, const Attend& attend) {
  auto run = [this, i, attend](const std::vector<torch::Tensor>& in) {
    Block& block = blocks_[i];
    const torch::Tensor &shift1 = in[0], &scale1 = in[1], &gate1 = in[2], &shift2 = in[3], &scale2 = in[4],
                        &gate2 = in[5], &rows = in[6], &temperature = in[7];
    torch::Tensor mixed = attend(block->qkv(modulated_norm(rows, shift1, scale1)), temperature);
    torch::Tensor seen =
        gated_residual(rows, block->projection(mixed).contiguous(), block->projection_bias, dropped(gate1, i));
    torch::Tensor hidden = bias_gelu(block->up(modulated_norm(seen, shift2, scale2)), block->up_bias);
    return gated_residual(seen, block->down(hidden), block->down_bias, dropped(gate2, i));
  };
  std::vector<torch::Tensor> inputs(modulation, modulation + kBlockModulations);
  inputs.insert(inputs.end(), {x, scale});
  return options_.recompute ? recomputed(run, inputs) : run(inputs);
}

torch::Tensor VarImpl::dropped(const torch::Tensor& gate, size_t i) {
  const double chance =
      options_.depth > 1 ? options_.drop_path * static_cast<double>(i) / static_cast<double>(options_.depth - 1) : 0;
  if (!is_training() || chance == 0) return gate;
  torch::Tensor kept = torch::rand({gate.size(0), 1}, gate.options()) >= chance;
  return gate * kept / (1 - chance);
}

torch::Tensor VarImpl::attend_all(size_t i, torch::Tensor qkv, const torch::Tensor& scale, const Place& place) {
  const int64_t rows = qkv.size(1), end = place.begin + rows;
  if (place.cache != nullptr) {
    // Attention is redone for the rows before `begin`: cheaper here than a second kernel, the products are not.
    BlockCache& cache = (*place.cache)[i];
    if (place.begin > 0) qkv = torch::cat({cache.rows, qkv}, 1);
    cache.rows = qkv;
  }
  std::vector<int64_t> visible(visible_.begin(), visible_.begin() + end);
  torch::Tensor mixed = attention(qkv, blocks_[i]->qkv_bias, options_.depth, visible, scale);
  return place.cache != nullptr ? mixed.narrow(1, place.begin, rows) : mixed;
}

torch::Tensor VarImpl::causal_logits(size_t i, const torch::Tensor& x, const torch::Tensor& weights) {
  return predictors_[i] ? predictors_[i]->forward(x.detach()).squeeze(2) : weights;
}

void VarImpl::add_routing(Routing& routing, const torch::Tensor& logits, const torch::Tensor& chosen) const {
  torch::Tensor target = torch::zeros_like(logits.detach()).scatter(1, chosen, 1.0);
  const double share = 1.0 / static_cast<double>(options_.depth / options_.mixture.every);
  torch::Tensor loss = share * torch::binary_cross_entropy_with_logits(logits, target);
  torch::Tensor accuracy = share * ((logits > 0) == (target > 0)).to(torch::kFloat).mean();
  routing.loss = routing.loss.defined() ? routing.loss + loss : loss;
  routing.accuracy = routing.accuracy.defined() ? routing.accuracy + accuracy : accuracy;
}

torch::Tensor VarImpl::run_routed(size_t i, const torch::Tensor& x, const torch::Tensor* modulation,
                                  const torch::Tensor& scale, const Place& place) {
  const int64_t w = options_.width();
  torch::Tensor weights = routers_[i](x);  // [B, n]
  torch::Tensor chosen;                    // places [B, m]
  torch::Tensor levels = level_of_.slice(0, place.begin, place.begin + x.size(1)).expand_as(weights);
  if (is_training()) {
    chosen = choose(weights, options_.mixture.taken(x.size(1)));
    if (place.routing != nullptr) add_routing(*place.routing, causal_logits(i, x, weights), chosen);
  } else {
    // Rows choose different numbers of tokens: all take the most, and what is too much is seen by none and adds
    // nothing.
    torch::Tensor wanted = causal_logits(i, x, weights) > 0;
    const auto most = wanted.sum(1).max().item<int64_t>();
    if (most == 0) return x;
    chosen = choose(wanted.to(torch::kFloat), most);
    weights = weights * wanted;
    levels = levels.masked_fill(wanted.logical_not(), options_.scales.count());
  }
  levels = levels.gather(1, chosen);
  auto attend = [this, i, w, place, levels](torch::Tensor qkv, const torch::Tensor& temperature) {
    torch::Tensor query = qkv.narrow(2, 0, w) + blocks_[i]->qkv_bias.narrow(0, 0, w);
    torch::Tensor key_levels = levels;
    if (place.cache != nullptr) {
      BlockCache& cache = (*place.cache)[i];
      if (cache.rows.defined()) {
        qkv = torch::cat({cache.rows, qkv}, 1);
        key_levels = torch::cat({cache.levels, levels}, 1);
      }
      cache = {qkv, key_levels};
    }
    torch::Tensor key_value = qkv.narrow(2, w, 2 * w) + blocks_[i]->qkv_bias.narrow(0, w, 2 * w);
    torch::Tensor visible = key_levels.unsqueeze(1) <= levels.clamp_max(options_.scales.count() - 1).unsqueeze(2);
    return cross_attention(query, key_value, options_.depth, visible, temperature);
  };
  auto block = [&](const torch::Tensor& rows) { return run_block(i, rows, modulation, scale, attend); };
  return route(x, chosen, weights, block);
}

torch::Tensor VarImpl::transform(torch::Tensor x, const torch::Tensor& condition, const Place& place) {
  std::vector<torch::Tensor> modulations = modulation_(torch::silu(condition)).split(options_.width(), 1);
  std::vector<torch::Tensor> scales = log_scale_.clamp_max(std::log(kLargestScale)).exp().unbind(0);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const torch::Tensor* modulation = &modulations[static_cast<size_t>(kBlockModulations) * i];
    if (routers_[i]) {
      x = run_routed(i, x, modulation, scales[i], place);
    } else {
      auto attend = [this, i, place](const torch::Tensor& qkv, const torch::Tensor& scale) {
        return attend_all(i, qkv, scale, place);
      };
      x = run_block(i, x, modulation, scales[i], attend);
    }
  }
  const torch::Tensor* last = &modulations[modulations.size() - kHeadModulations];
  return head_(modulated_norm(x, last[0], last[1]));
}

torch::Tensor VarImpl::forward(const torch::Tensor& inputs, const torch::Tensor& condition, Routing* routing) {
  int64_t first = options_.scales.tokens(0);
  torch::Tensor start = condition.unsqueeze(1).expand({-1, first, -1});
  torch::Tensor x = torch::cat({start, input_(inputs)}, 1) + places(0, options_.scales.total());
  return transform(x, condition, {.begin = 0, .cache = nullptr, .routing = routing});
}

torch::Tensor VarImpl::step(const torch::Tensor& inputs, const torch::Tensor& condition, int64_t k, Cache& cache) {
  if (k == 0) cache.assign(blocks_.size(), {});
  int64_t begin = options_.scales.begin(k);
  torch::Tensor start = k == 0 ? condition.unsqueeze(1).expand({-1, options_.scales.tokens(0), -1}) : input_(inputs);
  torch::Tensor x = start + places(begin, options_.scales.end(k));
  return transform(x, condition, {.begin = begin, .cache = &cache, .routing = nullptr});
}

std::vector<Preset> var_presets() {
  std::vector<Preset> presets;
  for (int64_t depth = 6; depth <= 30; depth += 2) {
    presets.push_back({.name = fmt::format("var-d{}", depth),
                       .params = {{"depth", depth},
                                  {"width_per_depth", 64},
                                  {"condition", "imagenet"},
                                  {"drop_path", 0.1 * static_cast<double>(depth) / 24}}});
  }
  using Size = std::pair<int64_t, int64_t>;
  for (auto [depth, per_depth] : {Size{1, 16}, Size{1, 32}, Size{2, 16}, Size{2, 24}, Size{4, 16}}) {
    presets.push_back({.name = fmt::format("var-d{}-w{}", depth, depth * per_depth),
                       .params = {{"depth", depth}, {"width_per_depth", per_depth}}});
  }
  return presets;
}

}  // namespace scalelaw::trainer
