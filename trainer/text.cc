#include "trainer/text.h"

#include <sstream>
#include <stdexcept>
#include <unordered_map>

#include "trainer/data/scenes.h"

namespace scalelaw::trainer {

const std::vector<std::string>& vocabulary() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> all = {"", "a", "on", "background"};
    all.insert(all.end(), kObjectNames.begin(), kObjectNames.end());
    all.insert(all.end(), kColourNames.begin(), kColourNames.end());
    all.insert(all.end(), kBackgroundNames.begin(), kBackgroundNames.end());
    return all;
  }();
  return words;
}

std::array<int64_t, kCaptionLength> encode_caption(std::string_view caption) {
  static const std::unordered_map<std::string, int64_t> token_of = [] {
    std::unordered_map<std::string, int64_t> map;
    for (size_t i = 1; i < vocabulary().size(); ++i) map.emplace(vocabulary()[i], static_cast<int64_t>(i));
    return map;
  }();
  std::array<int64_t, kCaptionLength> tokens{};
  std::istringstream words{std::string(caption)};
  size_t place = 0;
  for (std::string word; words >> word; ++place) {
    auto found = token_of.find(word);
    if (found == token_of.end()) throw std::invalid_argument("caption: unknown word \"" + word + "\"");
    if (place == tokens.size())
      throw std::invalid_argument("caption: more than 8 words: \"" + std::string(caption) + '"');
    tokens[place] = found->second;
  }
  return tokens;
}

std::string decode_caption(const torch::Tensor& tokens) {
  std::string caption;
  torch::Tensor row = tokens.to(torch::kCPU).contiguous();
  for (int64_t i = 0; i < row.numel(); ++i) {
    int64_t token = row.data_ptr<int64_t>()[i];
    if (token == kPadding) continue;
    if (!caption.empty()) caption += ' ';
    caption += vocabulary().at(static_cast<size_t>(token));
  }
  return caption;
}

torch::Tensor drop_captions(const torch::Tensor& tokens, double probability) {
  if (probability <= 0) return tokens;
  torch::Tensor kept = torch::rand({tokens.size(0), 1}, tokens.device()) >= probability;
  return tokens * kept;
}

torch::Tensor null_captions(int64_t batch, torch::Device device) {
  return torch::zeros({batch, kCaptionLength}, torch::dtype(torch::kLong).device(device));
}

TextEncoderImpl::TextEncoderImpl(int64_t width)
    : hidden_(register_module("hidden", torch::nn::Linear(width, width))),
      output_(register_module("output", torch::nn::Linear(width, width))) {
  auto words = static_cast<int64_t>(vocabulary().size());
  // Seven words add up to unit variance.
  table_ = register_parameter("table", torch::randn({kCaptionLength * words, width}) / std::sqrt(7.0));
}

torch::Tensor TextEncoderImpl::forward(const torch::Tensor& tokens) {
  auto words = static_cast<int64_t>(vocabulary().size());
  torch::Tensor rows = tokens + torch::arange(kCaptionLength, tokens.options()) * words;
  torch::Tensor pooled = torch::embedding(table_, rows).sum(1);
  return output_(torch::silu(hidden_(pooled)));
}

}  // namespace scalelaw::trainer
