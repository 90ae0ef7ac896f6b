// Rectified flow (Liu et al. 2023): straight paths x_t = (1 − t)·x₀ + t·ε from image to noise, velocity v = ε − x₀.
#pragma once

#include <functional>

#include <torch/torch.h>

namespace scalelaw::trainer {

/// Velocity for patches [B, T, c], time [B], caption tokens [B, L].
using Velocity =
    std::function<torch::Tensor(const torch::Tensor& patches, const torch::Tensor& time, const torch::Tensor& tokens)>;

/// Mean squared error of the velocity at these times and noises, over everything. Shapes as `Velocity`.
torch::Tensor flow_loss(const Velocity& velocity, const torch::Tensor& clean, const torch::Tensor& noise,
                        const torch::Tensor& time, const torch::Tensor& tokens);

/// Below this time images are clean to the eye: nothing is trained there, and velocities divide by no less.
inline constexpr double kFirstTime = 0.05;

/// Times in (kFirstTime, 1), one in each of B equal bins: uniform, with less variance than independent draws.
torch::Tensor stratified_times(int64_t batch, torch::Device device);

/// The velocity of a network that predicts the clean image: v = (x_t − x̂₀)/t (Li & He 2025, arXiv 2511.13720). Images
/// need far fewer dimensions than noise, so that a token may be wider than the network.
torch::Tensor velocity_from_image(const torch::Tensor& patches, const torch::Tensor& image, const torch::Tensor& time);

/// Euler's method from noise (t = 1) to image (t = 0) with classifier-free guidance (Ho & Salimans 2022):
/// v = v_null + guidance·(v_caption − v_null), both halves in one batch.
torch::Tensor sample_flow(const Velocity& velocity, torch::Tensor noise, const torch::Tensor& tokens, int64_t steps,
                          double guidance);

}  // namespace scalelaw::trainer
