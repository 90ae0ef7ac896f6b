#include "analysis/allocation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "analysis/root.h"

namespace scalelaw::analysis {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Sizes that the coarse scan visits, over all that are possible.
constexpr int kScan = 64;
/// Half the step of the slope, in ln N: the optimum's error is of order its square.
constexpr double kSlopeStep = 5e-5;
constexpr double kPrecision = 1e-11;
/// No budget beyond e^±kMostLogFlops FLOPs is looked at.
constexpr double kMostLogFlops = 160;

/// The model size, in logs, that a budget pays for together with so many samples.
double log_params_for(const TrainingCost& cost, double flops, double samples, const Spending& spending) {
  const double per_sample = flops / (samples + spending.serving_flops(1));
  return std::log(per_sample / cost.factor) / cost.exponent;
}

}  // namespace

Allocation best_allocation(const Surface& surface, const std::vector<double>& parameters, double flops,
                           const Spending& spending) {
  const TrainingCost& cost = surface.cost();
  const auto samples_at = [&](double u) { return spending.samples_within(flops, cost.per_sample(std::exp(u))); };
  const auto badness = [&](double u) {
    const double samples = samples_at(u), params = std::exp(u);
    return surface.badness(parameters, params, samples, cost.per_sample(params) * samples);
  };
  const auto slope = [&](double u) { return badness(u + kSlopeStep) - badness(u - kSlopeStep); };

  // A model has at least one parameter and sees at least one sample.
  const double largest = log_params_for(cost, flops, 1, spending);
  const double low = std::log(std::max(1.0, spending.min_params));
  const double high = std::min(largest, std::log(spending.max_params));
  if (!(low <= high)) return {0, 0, surface.sign() * kInfinity, Limit::kUnbounded};

  std::array<double, kScan> scanned{};
  const auto place = [&](int i) { return low + (high - low) * i / (kScan - 1); };
  for (int i = 0; i < kScan; ++i) scanned[i] = badness(place(i));
  const int best = static_cast<int>(std::min_element(scanned.begin(), scanned.end()) - scanned.begin());

  double u = place(best);
  Limit limit = best == 0 ? Limit::kMinParams : best == kScan - 1 ? Limit::kMaxParams : Limit::kNone;
  const double inner = root(slope, place(std::max(best - 1, 0)), place(std::min(best + 1, kScan - 1)), kPrecision);
  if (inner > low && inner < high && badness(inner) <= badness(u)) {
    u = inner;
    limit = Limit::kNone;
  }
  // Where data runs out the curve has a kink, which a slope over a finite step smears.
  const double kink = log_params_for(cost, flops, spending.max_samples, spending);
  if (kink >= low && kink <= high && badness(kink) <= badness(u)) {
    u = kink;
    limit = Limit::kMaxSamples;
  }
  const bool at_open_end = (limit == Limit::kMinParams && spending.min_params <= 1) ||
                           (limit == Limit::kMaxParams && largest <= std::log(spending.max_params));
  const double value = surface.sign() * badness(u);
  if (at_open_end) {
    const bool small = limit == Limit::kMinParams;
    return {small ? 0 : kInfinity, small ? kInfinity : 0, value, Limit::kUnbounded};
  }
  return {std::exp(u), samples_at(u), value, limit};
}

double flops_to_reach(const Surface& surface, const std::vector<double>& parameters, double value,
                      const Spending& spending, double guess) {
  const auto excess = [&](double log_flops) {
    return surface.sign() * (best_allocation(surface, parameters, std::exp(log_flops), spending).value - value);
  };
  // The best value improves with compute: widen the bracket on the side where it must lie.
  double low = std::log(guess), high = low;
  double step = 2;
  if (excess(low) > 0) {
    for (; !(excess(high) <= 0); step *= 2) {
      if (high > kMostLogFlops) return kInfinity;
      low = high;
      high += step;
    }
  } else {
    for (; excess(low) <= 0; step *= 2) {
      if (low < -kMostLogFlops) return 0;
      high = low;
      low -= step;
    }
  }
  return std::exp(root(excess, low, high, kPrecision));
}

double samples_to_reach(const Surface& surface, const std::vector<double>& parameters, double value, double params,
                        double flops_per_sample, const Spending& spending) {
  const auto excess = [&](double log_samples) {
    const double samples = std::exp(log_samples);
    return surface.badness(parameters, params, samples, flops_per_sample * samples) - surface.sign() * value;
  };
  const double most = std::min(kMostLogFlops, std::log(spending.max_samples));
  if (excess(most) > 0) return kInfinity;
  if (excess(0) <= 0) return 1;
  return std::exp(root(excess, 0, most, kPrecision));
}

}  // namespace scalelaw::analysis
