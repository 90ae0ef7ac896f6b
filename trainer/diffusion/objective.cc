#include "trainer/diffusion/objective.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace scalelaw::trainer {

using torch::Tensor;

namespace {

constexpr int64_t kScheduleSteps = 1000;

bool is_flow(Objective objective) {
  return objective == Objective::kFlowImage || objective == Objective::kFlowVelocity;
}

// log signal after each step.
const std::array<double, kScheduleSteps + 1>& schedule() {
  static const auto table = [] {
    const double first = std::sqrt(0.00085), last = std::sqrt(0.012);
    std::array<double, kScheduleSteps + 1> logs{};
    for (size_t i = 1; i < logs.size(); ++i) {
      const double root = first + (last - first) * static_cast<double>(i - 1) / (kScheduleSteps - 1);
      logs[i] = logs[i - 1] + 0.5 * std::log1p(-root * root);
    }
    return logs;
  }();
  return table;
}

// One value per sample, to be multiplied with x.
Tensor per_sample(const Tensor& values, const Tensor& x) {
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[0] = -1;
  return values.view(shape);
}

struct PathPoints {
  Tensor signal, noise, signal_slope, noise_slope;
};

PathPoints points_at(Objective objective, const Tensor& time, const Tensor& like) {
  Tensor times = time.to(torch::kCPU, torch::kDouble).contiguous();
  Tensor points = torch::empty({4, times.numel()}, torch::kDouble);
  auto out = points.accessor<double, 2>();
  for (int64_t i = 0; i < times.numel(); ++i) {
    const PathPoint point = path_at(objective, times.data_ptr<double>()[i]);
    out[0][i] = point.signal;
    out[1][i] = point.noise;
    out[2][i] = point.signal_slope;
    out[3][i] = point.noise_slope;
  }
  points = points.to(like.options());
  return {per_sample(points[0], like), per_sample(points[1], like), per_sample(points[2], like),
          per_sample(points[3], like)};
}

}  // namespace

Objective read_objective(Params& params) {
  const std::string name = params.choice("objective", "flow", {"flow", "noise", "v"});
  if (name == "noise") return Objective::kNoise;
  if (name == "v") return Objective::kV;
  const bool image = params.choice("prediction", "image", {"image", "velocity"}) == "image";
  return image ? Objective::kFlowImage : Objective::kFlowVelocity;
}

PathPoint path_at(Objective objective, double time) {
  if (is_flow(objective)) return {1 - time, time, -1, 1};
  const auto& logs = schedule();
  const double place = time * kScheduleSteps;
  // The step that ends at or after this time.
  const auto step = static_cast<size_t>(std::clamp<double>(std::ceil(place), 1, kScheduleSteps));
  const double slope = logs[step] - logs[step - 1];  // per step
  const double signal = std::exp(logs[step - 1] + slope * (place - static_cast<double>(step - 1)));
  const double noise = std::sqrt(1 - signal * signal), signal_slope = signal * slope * kScheduleSteps;
  return {signal, noise, signal_slope, -signal * signal_slope / noise};
}

Tensor training_loss(Objective objective, const Network& network, const Tensor& clean, const Tensor& noise,
                     const Tensor& time, const Tensor& tokens) {
  if (is_flow(objective)) {
    Tensor target = noise - clean;
    Tensor between = torch::addcmul(clean, target, per_sample(time, clean));
    return torch::mse_loss(velocity(objective, network(between, time, tokens, nullptr), between, time), target);
  }
  const PathPoints at = points_at(objective, time, clean);
  Tensor out = network(at.signal * clean + at.noise * noise, time, tokens, nullptr);
  return torch::mse_loss(out, objective == Objective::kNoise ? noise : at.signal * noise - at.noise * clean);
}

Tensor training_times(Objective objective, int64_t batch, torch::Device device) {
  Tensor bins = torch::arange(batch, torch::dtype(torch::kFloat).device(device));
  Tensor uniform = (bins + torch::rand({batch}, bins.options())) / static_cast<double>(batch);
  if (is_flow(objective)) return kFirstTime + (1 - kFirstTime) * uniform;
  return (uniform * kScheduleSteps).floor().add(1).clamp_max(kScheduleSteps) / kScheduleSteps;
}

Tensor velocity(Objective objective, const Tensor& out, const Tensor& x, const Tensor& time) {
  if (objective == Objective::kFlowVelocity) return out;
  if (objective == Objective::kFlowImage) return (x - out) / per_sample(time.clamp_min(kFirstTime), x);
  const PathPoints at = points_at(objective, time, x);
  if (objective == Objective::kNoise) {
    return at.signal_slope * ((x - at.noise * out) / at.signal) + at.noise_slope * out;
  }
  return at.signal_slope * (at.signal * x - at.noise * out) + at.noise_slope * (at.noise * x + at.signal * out);
}

}  // namespace scalelaw::trainer
