// What a denoiser is trained to predict, and the path between image and noise that it is trained on:
// x_t = signal(t)·x₀ + noise(t)·ε for t from 0 (image) to 1 (noise).
#pragma once

#include <functional>

#include <torch/torch.h>

#include "trainer/diffusion/t_gate.h"
#include "trainer/params.h"

namespace scalelaw::trainer {

enum class Objective {
  /// Rectified flow (Liu et al. 2023): straight paths, signal = 1 − t, noise = t; the velocity is ε − x₀. The network
  /// predicts the clean image (Li & He 2025, arXiv 2511.13720): images need far fewer dimensions than noise, so that a
  /// token may be wider than the network.
  kFlowImage,
  /// The same, and the network predicts the velocity.
  kFlowVelocity,
  /// DDPM (Ho et al. 2020) with latent diffusion's schedule, below; the network predicts ε.
  kNoise,
  /// The same schedule; the network predicts v = signal·ε − noise·x₀ (Salimans & Ho 2022).
  kV,
};

/// Reads `objective` (flow, noise, v) and, for flow, `prediction` (image, velocity).
Objective read_objective(Params& params);

/// A place on the path and its derivative by t.
///
/// Latent diffusion's schedule (Rombach et al. 2022; Stable Diffusion): 1000 steps, √β linear from √0.00085 to √0.012,
/// signal² = Π(1 − β). Step i is t = i/1000; log signal is linear between steps.
struct PathPoint {
  double signal, noise;
  double signal_slope, noise_slope;
};
PathPoint path_at(Objective objective, double time);

/// A denoiser: x [B, …], time [B], tokens [B, L] (undefined in a pass that reuses the cache's outputs) -> like x.
using Network = std::function<torch::Tensor(const torch::Tensor& x, const torch::Tensor& time,
                                            const torch::Tensor& tokens, CrossAttentionCache* cache)>;

/// Mean squared error of the objective's target (for both flows: the velocity) at these times and noises.
torch::Tensor training_loss(Objective objective, const Network& network, const torch::Tensor& clean,
                            const torch::Tensor& noise, const torch::Tensor& time, const torch::Tensor& tokens);

/// Below this time images are clean to the eye: rectified flow trains nothing there, and divides by no less.
inline constexpr double kFirstTime = 0.05;

/// Times [B] to train at, one in each of B equal bins: uniform, with less variance than independent draws. Rectified
/// flow: from kFirstTime to 1; the others: the schedule's steps.
torch::Tensor training_times(Objective objective, int64_t batch, torch::Device device);

/// dx/dt on the way that the network's output points to: signal'(t)·x̂₀ + noise'(t)·ε̂.
torch::Tensor velocity(Objective objective, const torch::Tensor& out, const torch::Tensor& x,
                       const torch::Tensor& time);

}  // namespace scalelaw::trainer
