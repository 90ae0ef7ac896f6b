#include "trainer/text.h"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "trainer/data/scenes.h"

namespace scalelaw::trainer {
namespace {

constexpr const char* kUnknown = "<unknown>";

std::vector<std::string> split(std::string_view caption) {
  std::vector<std::string> words;
  bool inside = false;
  for (unsigned char c : caption) {
    const bool part = std::isalnum(c) != 0 || c >= 0x80 || c == '-' || c == '\'';
    if (part && !inside) words.emplace_back();
    if (part) words.back() += static_cast<char>(std::tolower(c));
    inside = part;
  }
  return words;
}

std::vector<std::string> words_of_scenes(int64_t objects) {
  std::vector<std::string> words = {"", "a", "on", "background"};
  words.insert(words.end(), kObjectNames.begin(), kObjectNames.end());
  words.insert(words.end(), kColourNames.begin(), kColourNames.end());
  words.insert(words.end(), kBackgroundNames.begin(), kBackgroundNames.end());
  if (objects > 1) words.insert(words.end(), {"and", "of", "left", "right", "above", "below"});
  return words;
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> words, bool free) : words_(std::move(words)), free_(free) {
  for (size_t i = 1; i < words_.size(); ++i) token_of_.emplace(words_[i], static_cast<int64_t>(i));
}

const Vocabulary& Vocabulary::of_scenes(int64_t objects) {
  static const Vocabulary one(words_of_scenes(1), false), two(words_of_scenes(2), false);
  return objects == 1 ? one : two;
}

Vocabulary Vocabulary::of_captions(const std::vector<std::string_view>& captions, int64_t most) {
  std::map<std::string, int64_t> counts;
  for (std::string_view caption : captions) {
    for (const std::string& word : split(caption)) ++counts[word];
  }
  std::vector<std::pair<std::string, int64_t>> ranked(counts.begin(), counts.end());
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> words = {"", kUnknown};
  for (const auto& [word, count] : ranked) {
    if (static_cast<int64_t>(words.size()) == most) break;
    words.push_back(word);
  }
  return {std::move(words), true};
}

std::vector<int64_t> Vocabulary::encode(std::string_view caption, int64_t length) const {
  std::vector<int64_t> tokens(static_cast<size_t>(length), kPadding);
  size_t place = 0;
  for (const std::string& word : split(caption)) {
    auto found = token_of_.find(word);
    if (found == token_of_.end() && !free_) throw std::invalid_argument("caption: unknown word \"" + word + "\"");
    if (place == tokens.size()) {
      if (free_) break;
      throw std::invalid_argument("caption: more than " + std::to_string(length) + " words: \"" + std::string(caption) +
                                  '"');
    }
    tokens[place++] = found == token_of_.end() ? 1 : found->second;
  }
  return tokens;
}

std::string Vocabulary::decode(const torch::Tensor& tokens) const {
  std::string caption;
  torch::Tensor row = tokens.to(torch::kCPU).contiguous();
  for (int64_t i = 0; i < row.numel(); ++i) {
    int64_t token = row.data_ptr<int64_t>()[i];
    if (token == kPadding) continue;
    if (!caption.empty()) caption += ' ';
    caption += words_.at(static_cast<size_t>(token));
  }
  return caption;
}

torch::Tensor drop_captions(const torch::Tensor& tokens, double probability) {
  if (probability <= 0) return tokens;
  torch::Tensor kept = torch::rand({tokens.size(0), 1}, tokens.device()) >= probability;
  return tokens * kept;
}

TextEncoderImpl::TextEncoderImpl(int64_t width, const CaptionShape& captions)
    : captions_(captions),
      hidden_(register_module("hidden", torch::nn::Linear(width, width))),
      output_(register_module("output", torch::nn::Linear(width, width))) {
  if (!captions.free) {
    // The words of a full caption add up to unit variance.
    const double words = static_cast<double>(captions.length - 1);
    table_ = register_parameter("table", torch::randn({captions.length * captions.words, width}) / std::sqrt(words));
    return;
  }
  table_ = register_parameter("table", torch::randn({captions.words, width}));
  places_ = register_parameter("places", 0.5 * torch::randn({captions.length, width}));
  norm1_ = register_module("norm1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
  qkv_ = register_module("qkv", torch::nn::Linear(width, 3 * width));
  mixed_ = register_module("mixed", torch::nn::Linear(width, width));
  norm2_ = register_module("norm2", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
  up_ = register_module("up", torch::nn::Linear(width, 4 * width));
  down_ = register_module("down", torch::nn::Linear(4 * width, width));
}

torch::Tensor TextEncoderImpl::forward(const torch::Tensor& tokens) {
  if (captions_.free) return output_(torch::silu(hidden_(pool_free(tokens))));
  torch::Tensor rows = tokens + torch::arange(captions_.length, tokens.options()) * captions_.words;
  torch::Tensor pooled = torch::embedding(table_, rows).sum(1);
  return output_(torch::silu(hidden_(pooled)));
}

torch::Tensor TextEncoderImpl::pool_free(const torch::Tensor& tokens) {
  torch::Tensor x = torch::embedding(table_, tokens) + places_;  // [B, L, w]
  torch::Tensor is_word = (tokens != kPadding).unsqueeze(2);     // [B, L, 1]
  std::vector<torch::Tensor> qkv = qkv_(norm1_(x)).chunk(3, 2);
  torch::Tensor scores = torch::matmul(qkv[0], qkv[1].transpose(1, 2)) / std::sqrt(static_cast<double>(x.size(2)));
  // Padding is looked at as little as a caption of nothing but padding allows.
  scores = scores + (is_word.transpose(1, 2).to(scores.scalar_type()) - 1) * 1e4;
  x = x + mixed_(torch::matmul(torch::softmax(scores, -1), qkv[2]));
  x = x + down_(torch::gelu(up_(norm2_(x))));
  torch::Tensor counts = is_word.sum(1).clamp_min(1);
  return (x * is_word).sum(1) / counts;
}

ModelCost TextEncoderImpl::cost(int64_t width, const CaptionShape& captions) {
  ModelCost cost;
  if (captions.free) {
    const auto words = static_cast<double>(captions.length);
    cost.learned((captions.words + captions.length + 4) * width);  // table, places, norms
    cost.linear(words, width, 3 * width);
    cost.attention(words, words, width);
    cost.linear(words, width, width);
    cost.linear(words, width, 4 * width);
    cost.linear(words, 4 * width, width);
  } else {
    cost.learned(captions.length * captions.words * width);
  }
  cost.linear(1, width, width);
  cost.linear(1, width, width);
  return cost;
}

}  // namespace scalelaw::trainer
