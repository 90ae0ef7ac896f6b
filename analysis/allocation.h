// The search under optimal() and compare(): how to divide compute between size and data.
#pragma once

#include <limits>
#include <vector>

#include "analysis/surface.h"

namespace scalelaw::analysis {

/// What compute is spent on, and the limits within which.
struct Spending {
  /// Samples that the trained model will serve, and forward passes for each: 1 for a language model's token; denoising
  /// steps, twice with guidance, for a diffusion model's image. A forward pass is a third of a training step's FLOPs
  /// (2N against 6N: Kaplan et al. 2020, section 2.1).
  double served_samples = 0;
  double passes_per_served_sample = 1;
  double min_params = 0;
  double max_params = std::numeric_limits<double>::infinity();
  double max_samples = std::numeric_limits<double>::infinity();

  /// FLOPs for all that is served, by a model that takes so many FLOPs per training sample.
  double serving_flops(double flops_per_sample) const {
    return flops_per_sample / 3 * passes_per_served_sample * served_samples;
  }
  /// Samples to train on within a budget for both, at most max_samples; not positive where serving takes all.
  double samples_within(double flops, double flops_per_sample) const {
    return std::fmin((flops - serving_flops(flops_per_sample)) / flops_per_sample, max_samples);
  }
};

/// What decides the size.
enum class Limit { kNone, kMinParams, kMaxParams, kMaxSamples, kUnbounded };

struct Allocation {
  double params = 0;
  double samples = 0;
  /// The law's curve there.
  double value = 0;
  /// kUnbounded: the curve has no best size, it improves with ever smaller (params 0) or larger (infinite) models.
  Limit limit = Limit::kNone;
};

/// The best size for `flops`, training and serving together. All is spent, except where data runs out.
/// The size is exact to about 1e-9, relative.
Allocation best_allocation(const Surface& surface, const std::vector<double>& parameters, double flops,
                           const Spending& spending);

/// The least FLOPs, training and serving together, at which the best allocation reaches `value`; infinite where none
/// does. `guess`: where to begin.
double flops_to_reach(const Surface& surface, const std::vector<double>& parameters, double value,
                      const Spending& spending, double guess);

/// The samples that a model of `params` needs to reach `value`; infinite where no number (up to max_samples) does.
double samples_to_reach(const Surface& surface, const std::vector<double>& parameters, double value, double params,
                        double flops_per_sample, const Spending& spending);

}  // namespace scalelaw::analysis
