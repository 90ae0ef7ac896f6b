#include "analysis/intervals.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "analysis/parallel.h"
#include "analysis/quantile.h"
#include "analysis/random.h"

namespace scalelaw::analysis {
namespace {

/// Refits for the acceleration: a skewness needs no more.
constexpr size_t kMaxGroups = 100;
constexpr Intervals kAll[] = {Intervals::kPercentile, Intervals::kBca, Intervals::kProfile};

/// Where an interval of draws ends at an end of what is possible, nothing bounds the parameter on that side.
void mark_bounds(const ParameterScale& scale, int j, double value, Interval& interval) {
  const double margin = 1e-6 * std::abs(value);
  const bool below = std::isfinite(scale.lowest(j)) && interval.low <= scale.lowest(j) + margin;
  const bool above = std::isfinite(scale.highest(j)) && interval.high >= scale.highest(j) - margin;
  interval.unbounded = below && above ? "both" : below ? "below" : above ? "above" : "";
}

std::vector<double> sorted_draws(const std::vector<Draw>& draws, size_t j) {
  std::vector<double> sorted;
  sorted.reserve(draws.size());
  for (const Draw& draw : draws) sorted.push_back(draw.parameters[j]);
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace

std::string_view name_of(Intervals intervals) {
  switch (intervals) {
    case Intervals::kPercentile:
      return "percentile";
    case Intervals::kBca:
      return "bca";
    case Intervals::kProfile:
      return "profile";
  }
  return "";
}

absl::StatusOr<Intervals> choose_intervals(std::string_view name) {
  if (name.empty()) return Intervals::kPercentile;
  for (Intervals intervals : kAll)
    if (name == name_of(intervals)) return intervals;
  return absl::InvalidArgumentError(fmt::format("intervals: '{}' is unknown; known: percentile, bca, profile", name));
}

Interval bca_interval(const std::vector<double>& sorted, double value, double acceleration) {
  const auto below = std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
  const auto upto = std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
  const auto count = static_cast<double>(sorted.size());
  const double share = std::clamp(0.5 * static_cast<double>(below + upto) / count, 0.5 / count, 1 - 0.5 / count);
  const double bias = normal_quantile(share);
  const auto corrected = [&](double q) {
    const double z = bias + normal_quantile(q);
    return quantile(sorted, normal_cdf(bias + z / std::max(1 - acceleration * z, 0.05)));
  };
  return {corrected(0.025), corrected(0.975), ""};
}

std::vector<double> accelerations(const Problem& problem, const Sample& sample, const Optimum& optimum,
                                  const std::vector<std::vector<int>>& units, int threads) {
  const size_t groups = std::min(units.size(), kMaxGroups);
  std::vector<std::vector<double>> without(groups);
  parallel_for(static_cast<int>(groups), threads, [&](int group) {
    Sample rest = sample;
    for (size_t u = static_cast<size_t>(group); u < units.size(); u += groups)
      for (int row : units[u]) rest.weight[row] = 0;
    const Optimum refit = polish(*problem.form, rest, problem.criterion, optimum.coordinates);
    without[group] = problem.form->parameters(refit.coordinates.data(), problem.log_scale.data());
  });
  std::vector<double> result;
  for (size_t j = 0; j < problem.form->parameter_names().size(); ++j) {
    double mean = 0, square = 0, cube = 0;
    for (const auto& parameters : without) mean += parameters[j] / static_cast<double>(groups);
    for (const auto& parameters : without) {
      const double d = mean - parameters[j];
      square += d * d;
      cube += d * d * d;
    }
    result.push_back(square > 0 ? cube / (6 * std::pow(square, 1.5)) : 0);
  }
  return result;
}

std::vector<Parameter> describe_parameters(const Evidence& evidence, const std::map<std::string, double>& fixed,
                                           Intervals intervals, std::vector<Profile>& profiles) {
  const auto& [problem, sample, optima, linearised, likelihood, draws, resampling, threads] = evidence;
  const Optimum& best = optima.front();
  const ParameterScale scale(problem, sample, best.coordinates);
  const std::vector<double> values = problem.form->parameters(best.coordinates.data(), problem.log_scale.data());
  const std::vector<std::string> names = problem.form->parameter_names();
  std::vector<double> acceleration;
  if (intervals == Intervals::kBca && !draws.empty())
    acceleration = accelerations(problem, sample, best, resampling_units(problem, resampling), threads);

  std::vector<Parameter> result;
  for (size_t j = 0; j < names.size(); ++j) {
    const int index = static_cast<int>(j);
    Parameter p;
    p.name = names[j];
    p.value = p.ci95_low = p.ci95_high = values[j];
    p.fixed = fixed.contains(p.name);
    if (p.fixed) {
      result.push_back(std::move(p));
      continue;
    }
    Interval interval{values[j], values[j], ""};
    std::vector<double> sorted;
    if (!draws.empty()) {
      sorted = sorted_draws(draws, j);
      // Half of the central 68 %: a few wild draws of a small study have no say in it.
      p.se = (quantile(sorted, 0.8413447) - quantile(sorted, 0.1586553)) / 2;
    }
    if (intervals == Intervals::kProfile) {
      profiles.push_back(profile_likelihood(problem, sample, optima, linearised, likelihood, index));
      interval = profile_interval(profiles.back(), scale, index);
    } else {
      if (!draws.empty())
        interval = intervals == Intervals::kBca ? bca_interval(sorted, values[j], acceleration[j])
                                                : Interval{quantile(sorted, 0.025), quantile(sorted, 0.975), ""};
      mark_bounds(scale, index, values[j], interval);
    }
    p.ci95_low = interval.low;
    p.ci95_high = interval.high;
    p.unbounded = interval.unbounded;
    p.identified = interval.unbounded.empty();
    result.push_back(std::move(p));
  }
  return result;
}

}  // namespace scalelaw::analysis
