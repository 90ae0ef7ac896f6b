#include "trainer/var/discriminator.h"

#include <fmt/format.h>

namespace scalelaw::trainer {

namespace nn = torch::nn;
using torch::Tensor;

DiscriminatorImpl::DiscriminatorImpl(int64_t width) {
  auto halving = [](int64_t in, int64_t out) { return nn::Conv2d(nn::Conv2dOptions(in, out, 4).stride(2).padding(1)); };
  layers_ = {halving(3, width), halving(width, 2 * width),
             nn::Conv2d(nn::Conv2dOptions(2 * width, 2 * width, 3).padding(1)),
             nn::Conv2d(nn::Conv2dOptions(2 * width, 1, 1))};
  for (size_t i = 0; i < layers_.size(); ++i) register_module(fmt::format("layer{}", i), layers_[i]);
}

Tensor DiscriminatorImpl::judge(const Tensor& images, bool frozen) {
  Tensor x = images;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (i > 0) x = torch::leaky_relu(x, 0.2);
    nn::Conv2d& layer = layers_[i];
    const int64_t kernel = layer->weight.size(2);
    x = torch::conv2d(x, frozen ? layer->weight.detach() : layer->weight, frozen ? layer->bias.detach() : layer->bias,
                      /*stride=*/kernel == 4 ? 2 : 1, /*padding=*/kernel > 1 ? 1 : 0);
  }
  return x;
}

DiscriminatorImpl::Losses DiscriminatorImpl::losses(const Tensor& real, const Tensor& fake) {
  Tensor telling = torch::relu(1 - judge(real, false)).mean() + torch::relu(1 + judge(fake.detach(), false)).mean();
  return {telling, -judge(fake, true).mean()};
}

}  // namespace scalelaw::trainer
