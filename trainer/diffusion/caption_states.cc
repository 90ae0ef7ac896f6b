#include "trainer/diffusion/caption_states.h"

namespace scalelaw::trainer {

CaptionStatesImpl::CaptionStatesImpl(int64_t width, const CaptionShape& captions)
    : hidden_(register_module("hidden", torch::nn::Linear(width, width))),
      output_(register_module("output", torch::nn::Linear(width, width))) {
  words_ = register_parameter("words", torch::randn({captions.words, width}));
  places_ = register_parameter("places", 0.5 * torch::randn({captions.length, width}));
}

torch::Tensor CaptionStatesImpl::forward(const torch::Tensor& tokens) {
  torch::Tensor x = torch::embedding(words_, tokens) + places_;
  return x + output_(torch::silu(hidden_(x)));
}

ModelCost CaptionStatesImpl::cost(int64_t width, const CaptionShape& captions) {
  const auto words = static_cast<double>(captions.length);
  ModelCost cost;
  cost.learned((captions.words + captions.length) * width);
  cost.linear(words, width, width);
  cost.linear(words, width, width);
  return cost;
}

}  // namespace scalelaw::trainer
