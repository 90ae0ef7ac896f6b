#include "trainer/diffusion/flow.h"

#include "trainer/text.h"

namespace scalelaw::trainer {

using torch::Tensor;

Tensor flow_loss(const Velocity& velocity, const Tensor& clean, const Tensor& noise, const Tensor& time,
                 const Tensor& tokens) {
  Tensor target = noise - clean;
  Tensor between = torch::addcmul(clean, target, time.view({-1, 1, 1}));
  return torch::mse_loss(velocity(between, time, tokens), target);
}

Tensor stratified_times(int64_t batch, torch::Device device) {
  Tensor bins = torch::arange(batch, torch::dtype(torch::kFloat).device(device));
  Tensor uniform = (bins + torch::rand({batch}, bins.options())) / static_cast<double>(batch);
  return kFirstTime + (1 - kFirstTime) * uniform;
}

Tensor velocity_from_image(const Tensor& patches, const Tensor& image, const Tensor& time) {
  return (patches - image) / time.clamp_min(kFirstTime).view({-1, 1, 1});
}

Tensor sample_flow(const Velocity& velocity, Tensor noise, const Tensor& tokens, int64_t steps, double guidance) {
  torch::NoGradGuard no_grad;
  const int64_t batch = tokens.size(0);
  Tensor both = torch::cat({tokens, torch::full_like(tokens, kPadding)});
  Tensor x = std::move(noise);
  for (int64_t i = 0; i < steps; ++i) {
    double time = 1 - static_cast<double>(i) / static_cast<double>(steps);
    Tensor velocities = velocity(torch::cat({x, x}), torch::full({2 * batch}, time, x.options()), both);
    auto halves = velocities.chunk(2);
    Tensor guided = torch::lerp(halves[1], halves[0], guidance);
    x = x - guided / static_cast<double>(steps);
  }
  return x;
}

}  // namespace scalelaw::trainer
