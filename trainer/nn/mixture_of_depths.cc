#include "trainer/nn/mixture_of_depths.h"

#include <algorithm>
#include <cmath>

namespace scalelaw::trainer {

using torch::Tensor;

int64_t MixtureOfDepths::taken(int64_t tokens) const {
  return std::clamp<int64_t>(std::llround(capacity * static_cast<double>(tokens)), 1, tokens);
}

MixtureOfDepths MixtureOfDepths::read(Params& params) {
  MixtureOfDepths mixture;
  mixture.capacity = params.number("mod_capacity", mixture.capacity, 0, 1);
  if (mixture.on()) mixture.every = params.integer("mod_every", mixture.every, 1, 64);
  return mixture;
}

RouterImpl::RouterImpl(int64_t width)
    : weight_(register_module("weight", torch::nn::Linear(torch::nn::LinearOptions(width, 1).bias(false)))) {
  // Weights of about one for tokens of unit size: those chosen start with an open block.
  torch::nn::init::normal_(weight_->weight, 0, 1 / std::sqrt(static_cast<double>(width)));
}

Tensor choose(const Tensor& weights, int64_t count) {
  return std::get<0>(std::get<1>(weights.topk(count, 1)).sort(1));
}

Tensor gather_rows(const Tensor& x, const Tensor& places) {
  return x.gather(1, places.unsqueeze(2).expand({-1, -1, x.size(2)}));
}

Tensor route(const Tensor& x, const Tensor& places, const Tensor& weights,
             const std::function<Tensor(const Tensor&)>& block) {
  Tensor chosen = gather_rows(x, places);
  Tensor change = weights.gather(1, places).unsqueeze(2) * (block(chosen) - chosen);
  return x.scatter_add(1, places.unsqueeze(2).expand_as(change), change);
}

}  // namespace scalelaw::trainer
