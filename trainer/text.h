// Captions as numbers: the words that images are described with, and the small network that reads them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <torch/torch.h>

#include "trainer/nn/cost.h"

namespace scalelaw::trainer {

/// Words of a caption of one-object scenes, padded at the end: "a red sneaker on a dark background" has 7.
inline constexpr int64_t kCaptionLength = 8;
/// Token 0: no word. A caption of nothing but padding is the null condition of classifier-free guidance.
inline constexpr int64_t kPadding = 0;

/// What a text encoder is built for.
struct CaptionShape {
  /// Tokens per caption, padded at the end.
  int64_t length = kCaptionLength;
  /// Size of the vocabulary, padding included.
  int64_t words = 22;
  /// Captions of any grammar, as people write them, rather than the one that scenes are described by.
  bool free = false;
};

/// Token i is word i; word 0 is empty (padding).
class Vocabulary {
 public:
  /// The words of scenes' captions; any other is an error.
  static const Vocabulary& of_scenes(int64_t objects);
  /// The most frequent words of these captions, at most `most` with padding and `<unknown>`, which stands for all
  /// others. Words are runs of letters, digits and non-ASCII characters, in lower case; frequency, then the alphabet,
  /// orders them.
  static Vocabulary of_captions(const std::vector<std::string_view>& captions, int64_t most);

  int64_t size() const { return static_cast<int64_t>(words_.size()); }
  const std::vector<std::string>& words() const { return words_; }

  /// Tokens [length], padded. What is too long is cut off in free captions; there unknown words are `<unknown>`.
  /// Throws std::invalid_argument for either in scenes' captions.
  std::vector<int64_t> encode(std::string_view caption, int64_t length) const;
  /// The inverse, for logs and samples.
  std::string decode(const torch::Tensor& tokens) const;

 private:
  Vocabulary(std::vector<std::string> words, bool free);

  std::vector<std::string> words_;
  std::unordered_map<std::string, int64_t> token_of_;
  bool free_;
};

/// A copy of `tokens` [B, L] with each row replaced by the null condition with this probability (torch's default
/// generator).
torch::Tensor drop_captions(const torch::Tensor& tokens, double probability);

/// Pooled caption embedding.
///
/// For scenes: a learned vector for each (place, word) pair, summed over the caption, then two linear layers with a
/// SiLU between. Sees order (place), has no attention; the grammar is fixed, so that it loses nothing. For free
/// captions: a vector per word plus one per place, a transformer block, the mean over the words, then the same layers.
///
/// tokens [B, L] int64 -> [B, width]
class TextEncoderImpl : public torch::nn::Module {
 public:
  explicit TextEncoderImpl(int64_t width, const CaptionShape& captions = {});
  torch::Tensor forward(const torch::Tensor& tokens);

  static ModelCost cost(int64_t width, const CaptionShape& captions);

 private:
  torch::Tensor pool_free(const torch::Tensor& tokens);

  CaptionShape captions_;
  torch::Tensor table_;   // [L · words, width]; free: [words, width]
  torch::Tensor places_;  // free: [L, width]
  torch::nn::Linear qkv_{nullptr}, mixed_{nullptr}, up_{nullptr}, down_{nullptr};  // free
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr};                           // free
  torch::nn::Linear hidden_{nullptr}, output_{nullptr};
};
TORCH_MODULE(TextEncoder);

}  // namespace scalelaw::trainer
