// Captions as numbers: the words that scenes are described with, and the small network that reads them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <torch/torch.h>

namespace scalelaw::trainer {

/// Words per caption, padded at the end: "a red sneaker on a dark background" has 7.
inline constexpr int64_t kCaptionLength = 8;
/// Token 0: no word. A caption of nothing but padding is the null condition of classifier-free guidance.
inline constexpr int64_t kPadding = 0;

/// Token i is word i; word 0 is empty (padding).
const std::vector<std::string>& vocabulary();

/// Tokens of a caption. Throws std::invalid_argument on an unknown word or a caption that is too long.
std::array<int64_t, kCaptionLength> encode_caption(std::string_view caption);

/// The inverse, for logs and samples.
std::string decode_caption(const torch::Tensor& tokens);

/// A copy of `tokens` [B, kCaptionLength] with each row replaced by the null condition with this probability
/// (torch's default generator).
torch::Tensor drop_captions(const torch::Tensor& tokens, double probability);

/// The null condition for a batch: zeros [batch, kCaptionLength].
torch::Tensor null_captions(int64_t batch, torch::Device device);

/// Pooled caption embedding: a learned vector for each (place, word) pair, summed over the caption, then two linear
/// layers with a SiLU between. Sees order (place), has no attention; the grammar is fixed, so that it loses nothing.
///
/// tokens [B, kCaptionLength] int64 -> [B, width]
class TextEncoderImpl : public torch::nn::Module {
 public:
  explicit TextEncoderImpl(int64_t width);
  torch::Tensor forward(const torch::Tensor& tokens);

 private:
  torch::Tensor table_;  // [kCaptionLength · words, width]
  torch::nn::Linear hidden_{nullptr}, output_{nullptr};
};
TORCH_MODULE(TextEncoder);

}  // namespace scalelaw::trainer
