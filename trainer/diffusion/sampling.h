// From noise to images: the sampler that UNet and transformer share, with guidance and T-GATE.
#pragma once

#include <cstdint>

#include <torch/torch.h>

#include "trainer/diffusion/objective.h"
#include "trainer/params.h"

namespace scalelaw::trainer {

struct Sampling {
  enum class Method {
    /// Euler's method on the probability-flow ODE, x ← x + Δt·dx/dt.
    kEuler,
    /// DDIM (Song et al. 2021, eq. 12): x ← signal(s)·x̂₀ + noise(s)·ε̂. On straight paths this is Euler's method.
    kDdim,
  };
  Method method = Method::kEuler;
  /// Equal steps in t, from 1 to 0.
  int64_t steps = 20;
  /// Classifier-free guidance (Ho & Salimans 2022): v_null + guidance·(v_caption − v_null), both halves in one batch.
  double guidance = 3.0;
  /// DDIM's η: share of DDPM's fresh noise that each step adds (1: ancestral sampling).
  double eta = 0;
  /// T-GATE: the step, from 1, whose cross-attention is kept and after which guidance ends. 0: no gate.
  int64_t gate_step = 0;

  /// Reads `sampler`, `sampler_steps`, `guidance`, `ddim_eta`, `tgate_step`.
  static Sampling read(Params& params, Objective objective);
};

/// noise [B, …] as the network takes it, tokens [B, L] -> images in the network's layout.
torch::Tensor sample(const Network& network, Objective objective, torch::Tensor noise, const torch::Tensor& tokens,
                     const Sampling& sampling);

}  // namespace scalelaw::trainer
