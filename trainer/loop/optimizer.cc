#include "trainer/loop/optimizer.h"

#include <cmath>
#include <stdexcept>

#include <ATen/Parallel.h>

#include "trainer/nn/kernels.h"

namespace scalelaw::trainer {

using torch::Tensor;

AdamW::AdamW(torch::nn::Module& module, const AdamWOptions& options) : options_(options) {
  int64_t total = 0;
  for (const Tensor& parameter : module.parameters()) {
    if (!parameter.requires_grad()) continue;
    slices_.push_back({parameter, total, parameter.numel(), parameter.dim() > 1});
    total += parameter.numel();
  }
  if (slices_.empty()) throw std::invalid_argument("nothing to train: no parameter requires a gradient");
  torch::NoGradGuard no_grad;
  weights_ = torch::empty({total}, slices_.front().parameter.options().requires_grad(false));
  for (Slice& slice : slices_) {
    Tensor view = weights_.narrow(0, slice.begin, slice.size).view_as(slice.parameter);
    view.copy_(slice.parameter);
    slice.parameter.set_data(view);
  }
  moment1_ = torch::zeros_like(weights_);
  moment2_ = torch::zeros_like(weights_);
  average_ = weights_.clone();
}

void AdamW::clear_gradients() {
  for (Slice& slice : slices_) slice.parameter.mutable_grad() = Tensor();
}

Tensor AdamW::gather_gradients() {
  torch::NoGradGuard no_grad;
  Tensor all = torch::zeros_like(weights_);
  for (Slice& slice : slices_) {
    if (!slice.parameter.grad().defined()) continue;
    Tensor view = all.narrow(0, slice.begin, slice.size).view_as(slice.parameter);
    view.copy_(slice.parameter.grad());
    slice.parameter.mutable_grad() = view;
  }
  return all;
}

double AdamW::gradient_norm() {
  double squares = 0;
  for (Slice& slice : slices_) {
    Tensor gradient = slice.parameter.grad();
    if (!gradient.defined()) continue;
    if (!gradient.is_contiguous()) slice.parameter.mutable_grad() = gradient = gradient.contiguous();
    squares += gradient.device().is_cpu() ? kernels().square_sum(slice.size, gradient.data_ptr<float>())
                                          : gradient.square().sum().item<double>();
  }
  return std::sqrt(squares);
}

double AdamW::step(double learning_rate, double average_share) {
  torch::NoGradGuard no_grad;
  const double norm = gradient_norm();
  if (!std::isfinite(norm)) return norm;
  ++steps_;
  const auto now = static_cast<double>(steps_);
  AdamStep fixed{};
  fixed.learning_rate = static_cast<float>(learning_rate);
  fixed.beta1 = static_cast<float>(options_.beta1);
  fixed.beta2 = static_cast<float>(options_.beta2);
  fixed.epsilon = static_cast<float>(options_.epsilon);
  fixed.correction1 = static_cast<float>(1 / (1 - std::pow(options_.beta1, now)));
  fixed.correction2 = static_cast<float>(1 / (1 - std::pow(options_.beta2, now)));
  fixed.gradient_scale = static_cast<float>(norm > options_.clip ? options_.clip / norm : 1.0);
  fixed.average_share = static_cast<float>(average_share);
  if (weights_.device().is_cpu()) {
    step_on_cpu(fixed, learning_rate);
  } else {
    step_composed(fixed, learning_rate);
  }
  return norm;
}

void AdamW::step_on_cpu(const AdamStep& fixed, double learning_rate) {
  at::parallel_for(0, static_cast<int64_t>(slices_.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      Slice& slice = slices_[static_cast<size_t>(i)];
      const Tensor& gradient = slice.parameter.grad();
      if (!gradient.defined()) continue;
      AdamStep step = fixed;
      step.shrink = static_cast<float>(slice.decays ? 1 - learning_rate * options_.weight_decay : 1.0);
      kernels().adamw(step, slice.size, gradient.data_ptr<float>(), weights_.data_ptr<float>() + slice.begin,
                      moment1_.data_ptr<float>() + slice.begin, moment2_.data_ptr<float>() + slice.begin,
                      average_.data_ptr<float>() + slice.begin);
    }
  });
}

void AdamW::step_composed(const AdamStep& fixed, double learning_rate) {
  for (Slice& slice : slices_) {
    Tensor gradient = slice.parameter.grad();
    if (!gradient.defined()) continue;
    gradient = gradient.flatten() * fixed.gradient_scale;
    Tensor weights = weights_.narrow(0, slice.begin, slice.size), average = average_.narrow(0, slice.begin, slice.size);
    Tensor moment1 = moment1_.narrow(0, slice.begin, slice.size), moment2 = moment2_.narrow(0, slice.begin, slice.size);
    moment1.mul_(fixed.beta1).add_(gradient, 1 - fixed.beta1);
    moment2.mul_(fixed.beta2).addcmul_(gradient, gradient, 1 - fixed.beta2);
    if (slice.decays) weights.mul_(1 - learning_rate * options_.weight_decay);
    weights.addcdiv_(moment1, (moment2 * fixed.correction2).sqrt_().add_(fixed.epsilon),
                     -learning_rate * fixed.correction1);
    average.lerp_(weights, fixed.average_share);
  }
}

void AdamW::swap_average() {
  torch::NoGradGuard no_grad;
  Tensor weights = weights_.clone();
  weights_.copy_(average_);
  average_.copy_(weights);
}

void AdamW::restore(const State& state) {
  torch::NoGradGuard no_grad;
  for (const Tensor* flat : {&state.weights, &state.moment1, &state.moment2, &state.average}) {
    if (flat->numel() != size()) throw std::invalid_argument("optimizer state of another model");
  }
  weights_.copy_(state.weights);
  moment1_.copy_(state.moment1);
  moment2_.copy_(state.moment2);
  average_.copy_(state.average);
  steps_ = state.steps;
}

}  // namespace scalelaw::trainer
