#include "trainer/diffusion/sampling.h"

#include <algorithm>
#include <cmath>

#include "trainer/text.h"

namespace scalelaw::trainer {

using torch::Tensor;

namespace {

// From `now` to `next` on the path, given dx/dt.
Tensor ddim_step(const Tensor& x, const Tensor& velocity, const PathPoint& now, const PathPoint& next, double eta) {
  // x = signal·x̂₀ + noise·ε̂ and dx/dt = signal'·x̂₀ + noise'·ε̂, solved for the two.
  const double determinant = now.signal * now.noise_slope - now.noise * now.signal_slope;
  Tensor clean = (now.noise_slope * x - now.noise * velocity) / determinant;
  Tensor noise = (now.signal * velocity - now.signal_slope * x) / determinant;
  if (eta == 0 || next.noise == 0) return next.signal * clean + next.noise * noise;
  const double ratio = now.signal / next.signal;
  const double fresh = eta * next.noise / now.noise * std::sqrt(1 - ratio * ratio);
  const double kept = std::sqrt(std::max(0.0, next.noise * next.noise - fresh * fresh));
  return next.signal * clean + kept * noise + fresh * torch::randn_like(x);
}

}  // namespace

Sampling Sampling::read(Params& params, Objective objective) {
  const bool flow = objective == Objective::kFlowImage || objective == Objective::kFlowVelocity;
  Sampling sampling;
  sampling.guidance = params.number("guidance", sampling.guidance, 0, 20);
  sampling.steps = params.integer("sampler_steps", sampling.steps, 1, 1000);
  if (params.choice("sampler", flow ? "euler" : "ddim", {"euler", "ddim"}) == "ddim") {
    sampling.method = Method::kDdim;
    sampling.eta = params.number("ddim_eta", 0, 0, 1);
    if (sampling.eta > 0 && flow) throw BadRun("ddim_eta: fresh noise needs objective noise or v, not flow");
  }
  sampling.gate_step = params.integer("tgate_step", 0, 0, sampling.steps);
  return sampling;
}

Tensor sample(const Network& network, Objective objective, Tensor noise, const Tensor& tokens,
              const Sampling& sampling) {
  torch::NoGradGuard no_grad;
  using Use = CrossAttentionCache::Use;
  const auto steps = static_cast<double>(sampling.steps);
  Tensor both = torch::cat({tokens, torch::full_like(tokens, kPadding)});
  CrossAttentionCache cache;
  auto predict = [&](const Tensor& x, double time, const Tensor& captions, Use use) {
    cache.begin_pass(use);
    Tensor times = torch::full({x.size(0)}, time, x.options());
    return velocity(objective, network(x, times, captions, sampling.gate_step > 0 ? &cache : nullptr), x, times);
  };

  Tensor x = std::move(noise);
  for (int64_t i = 0; i < sampling.steps; ++i) {
    const double time = 1 - static_cast<double>(i) / steps;
    Tensor guided;
    if (sampling.gate_step > 0 && i >= sampling.gate_step) {
      guided = predict(x, time, {}, Use::kReuse);
    } else {
      const Use use = i + 1 == sampling.gate_step ? Use::kKeep : Use::kCompute;
      auto halves = predict(torch::cat({x, x}), time, both, use).chunk(2);
      guided = torch::lerp(halves[1], halves[0], sampling.guidance);
    }
    if (sampling.method == Sampling::Method::kEuler) {
      x = x - guided / steps;
    } else {
      const double next = 1 - static_cast<double>(i + 1) / steps;
      x = ddim_step(x, guided, path_at(objective, time), path_at(objective, next), sampling.eta);
    }
  }
  return x;
}

}  // namespace scalelaw::trainer
