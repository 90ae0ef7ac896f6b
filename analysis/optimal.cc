#include "analysis/optimal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "analysis/root.h"

namespace scalelaw::analysis {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
/// Half the step, in ln C, of the exponents' differences.
constexpr double kExponentStep = 0.05;
/// The optimum is searched for a target's compute from here when nothing better is known, FLOPs.
constexpr double kFirstGuess = 1e18;

/// What one set of parameters says.
struct Solution {
  double flops = 0;
  Allocation best;
  double params_exponent = kNan;
  double samples_exponent = kNan;
  /// One per size asked for.
  std::vector<double> size_samples, size_values, size_flops;
  int best_size = -1;
};

class Solver {
 public:
  Solver(const Surface& surface, const OptimalOptions& options) : surface_(surface), options_(options) {}

  /// `guess`: about how many FLOPs a target takes.
  Solution solve(const std::vector<double>& parameters, double guess) const {
    return options_.sizes.empty() ? solve_any(parameters, guess) : solve_listed(parameters);
  }

  /// Extra compute, as a share of the solution's, that a size takes to reach what the solution does.
  double overhead(const std::vector<double>& parameters, const Solution& solution, double params,
                  double flops_per_sample) const {
    const double samples =
        samples_to_reach(surface_, parameters, solution.best.value, params, flops_per_sample, options_.spending);
    // The best size itself comes out at 0, within rounding.
    return std::max(0.0, total_flops(flops_per_sample, samples) / solution.flops - 1);
  }

  double flops_per_sample(const Size& size) const {
    return size.flops_per_sample > 0 ? size.flops_per_sample : surface_.cost().per_sample(size.params);
  }
  double total_flops(double flops_per_sample, double samples) const {
    return flops_per_sample * samples + options_.spending.serving_flops(flops_per_sample);
  }

 private:
  Solution solve_any(const std::vector<double>& parameters, double guess) const {
    Solution s;
    const Spending& spending = options_.spending;
    s.flops =
        options_.flops ? *options_.flops : flops_to_reach(surface_, parameters, *options_.target, spending, guess);
    if (!(s.flops > 0) || !std::isfinite(s.flops)) {
      s.best = {kNan, kNan, kNan, Limit::kUnbounded};
      return s;
    }
    s.best = best_allocation(surface_, parameters, s.flops, spending);
    if (s.best.limit != Limit::kNone) return s;
    const Allocation less = best_allocation(surface_, parameters, s.flops * std::exp(-kExponentStep), spending);
    const Allocation more = best_allocation(surface_, parameters, s.flops * std::exp(kExponentStep), spending);
    if (less.limit == Limit::kNone && more.limit == Limit::kNone) {
      s.params_exponent = std::log(more.params / less.params) / (2 * kExponentStep);
      s.samples_exponent = std::log(more.samples / less.samples) / (2 * kExponentStep);
    }
    return s;
  }

  Solution solve_listed(const std::vector<double>& parameters) const {
    Solution s;
    double best = kInfinity;
    for (size_t i = 0; i < options_.sizes.size(); ++i) {
      const Size& size = options_.sizes[i];
      const double per_sample = flops_per_sample(size);
      const double samples = options_.flops ? options_.spending.samples_within(*options_.flops, per_sample)
                                            : samples_to_reach(surface_, parameters, *options_.target, size.params,
                                                               per_sample, options_.spending);
      const bool possible = samples > 0 && std::isfinite(samples);
      s.size_samples.push_back(std::max(samples, 0.0));
      s.size_values.push_back(possible ? surface_.value(parameters, size.params, samples, per_sample * samples) : kNan);
      s.size_flops.push_back(samples > 0 ? total_flops(per_sample, samples) : kInfinity);
      const double rank = !possible        ? kInfinity
                          : options_.flops ? surface_.sign() * s.size_values.back()
                                           : s.size_flops.back();
      if (!(rank < best)) continue;
      best = rank;
      s.best_size = static_cast<int>(i);
      s.flops = s.size_flops.back();
      s.best = {size.params, samples, s.size_values.back(), Limit::kNone};
    }
    if (s.best_size < 0) s.best = {kNan, kNan, kNan, Limit::kUnbounded};
    return s;
  }

  const Surface& surface_;
  const OptimalOptions& options_;
};

absl::Status check(const OptimalOptions& o) {
  const auto positive = [](double value) { return value > 0 && std::isfinite(value); };
  if (o.flops.has_value() == o.target.has_value())
    return absl::InvalidArgumentError(
        "flops, target: give one of them: the budget to spend, or the value to reach with the least compute");
  if (o.flops && !positive(*o.flops))
    return absl::InvalidArgumentError(fmt::format("flops: must be positive and finite, not {}", *o.flops));
  if (o.target && !std::isfinite(*o.target))
    return absl::InvalidArgumentError(fmt::format("target: must be finite, not {}", *o.target));
  const Spending& s = o.spending;
  if (!(s.served_samples >= 0) || !std::isfinite(s.served_samples))
    return absl::InvalidArgumentError(
        fmt::format("served_samples: must be finite and not negative, not {}", s.served_samples));
  if (!positive(s.passes_per_served_sample))
    return absl::InvalidArgumentError(
        fmt::format("passes_per_served_sample: must be positive, not {}", s.passes_per_served_sample));
  if (!(s.max_samples >= 1))
    return absl::InvalidArgumentError(fmt::format("max_samples: must be at least 1, not {}", s.max_samples));
  if (!(s.min_params >= 0) || !(s.max_params > s.min_params))
    return absl::InvalidArgumentError(fmt::format(
        "min_params, max_params: need 0 ≤ min_params < max_params, not {}, {}", s.min_params, s.max_params));
  for (size_t i = 0; i < o.sizes.size(); ++i) {
    if (!positive(o.sizes[i].params))
      return absl::InvalidArgumentError(
          fmt::format("sizes[{}].params: must be positive, not {}", i, o.sizes[i].params));
    if (!(o.sizes[i].flops_per_sample >= 0) || !std::isfinite(o.sizes[i].flops_per_sample))
      return absl::InvalidArgumentError(
          fmt::format("sizes[{}].flops_per_sample: must not be negative, not {}", i, o.sizes[i].flops_per_sample));
  }
  if (!(o.batch >= 0) || !std::isfinite(o.batch))
    return absl::InvalidArgumentError(fmt::format("batch: must not be negative, not {}", o.batch));
  for (double factor : o.off_factors)
    if (!positive(factor))
      return absl::InvalidArgumentError(fmt::format("off_factors: must be positive, not {}", factor));
  if (!positive(o.tolerance))
    return absl::InvalidArgumentError(fmt::format("tolerance: must be positive, not {}", o.tolerance));
  return absl::OkStatus();
}

/// Why the fitted law has no best size: the terms that the fit has switched off.
std::string blame(const Law& law) {
  std::string parameters;
  for (const Parameter& p : law.parameters)
    if (p.value <= 0 && p.name != "E")
      parameters += fmt::format("{}{} = {:.4g}", parameters.empty() ? "" : ", ", p.name, p.value);
  return parameters.empty() ? "" : " (" + parameters + ")";
}

absl::Status why_none(const Law& law, const OptimalOptions& options, const Solution& s) {
  if (!options.sizes.empty())
    return absl::FailedPreconditionError(
        options.flops ? fmt::format("sizes: {:.4g} FLOPs do not pay for any of them", *options.flops)
                      : fmt::format("target: none of the sizes reaches {:.6g}", *options.target));
  if (std::isnan(s.best.params))
    return absl::FailedPreconditionError(
        s.flops == 0
            ? fmt::format("target: {:.6g} is reached with no compute at all; ask for a better value", *options.target)
            : fmt::format("target: {:.6g} is beyond what the law reaches at any compute{}", *options.target,
                          std::isfinite(options.spending.max_samples) || std::isfinite(options.spending.max_params)
                              ? " within these limits"
                              : ""));
  if (s.best.params == 0 && s.best.samples == 0)
    return absl::FailedPreconditionError(fmt::format("flops: {:.4g} do not pay for a model of min_params = {:.4g}",
                                                     s.flops, options.spending.min_params));
  return absl::FailedPreconditionError(
      fmt::format("law: it has no best size at {:.4g} FLOPs: the curve goes on improving with {} models{}; fit "
                  "observations of more sizes per budget, or give min_params and max_params",
                  s.flops, s.best.params == 0 ? "smaller" : "larger", blame(law)));
}

/// All draws' solutions, with what to ask of them.
class Draws {
 public:
  Draws(const Law& law, const Solver& solver, double guess) : law_(law) {
    for (const Draw& draw : law.draws) solutions_.push_back(solver.solve(draw.parameters, guess));
  }

  template <class Of>
  Estimate estimate(double value, const Of& of) const {
    std::vector<double> values;
    for (size_t d = 0; d < solutions_.size(); ++d) values.push_back(of(solutions_[d], law_.draws[d].parameters));
    return summarise(value, std::move(values));
  }
  template <class Is>
  double share(const Is& is) const {
    if (solutions_.empty()) return 0;
    return static_cast<double>(std::count_if(solutions_.begin(), solutions_.end(), is)) /
           static_cast<double>(solutions_.size());
  }

 private:
  const Law& law_;
  std::vector<Solution> solutions_;
};

/// The sizes below and above the best that reach its value with at most `tolerance` more compute.
void find_tolerated(const Surface& surface, const std::vector<double>& parameters, const Solution& s,
                    const OptimalOptions& options, Optimal& result) {
  const auto excess = [&](double u) {
    const double params = std::exp(u), per_sample = surface.cost().per_sample(params);
    const double samples = options.spending.samples_within(s.flops * (1 + options.tolerance), per_sample);
    return surface.badness(parameters, params, samples, per_sample * samples) - surface.sign() * s.best.value;
  };
  constexpr double kFar = 30;
  const double u = std::log(s.best.params);
  if (!(excess(u) < 0)) {
    // At a limit of the data more compute does not help this size.
    result.params_low = result.params_high = s.best.params;
    return;
  }
  const double low = excess(u - kFar) > 0 ? std::exp(root(excess, u - kFar, u, 1e-10)) : 0;
  const double high = excess(u + kFar) > 0 ? std::exp(root(excess, u, u + kFar, 1e-10)) : kInfinity;
  result.params_low = std::max(low, options.spending.min_params);
  result.params_high = std::min(high, options.spending.max_params);
}

}  // namespace

absl::StatusOr<Optimal> optimal(const Law& law, const OptimalOptions& options) {
  if (absl::Status status = check(options); !status.ok()) return status;
  const absl::StatusOr<Surface> made = Surface::make(law, options.surface);
  if (!made.ok()) return made.status();
  const Surface& surface = *made;
  std::vector<double> parameters;
  for (const Parameter& p : law.parameters) parameters.push_back(p.value);

  const Solver solver(surface, options);
  const Solution s = solver.solve(parameters, kFirstGuess);
  if (s.best.limit == Limit::kUnbounded) return why_none(law, options, s);
  const Draws draws(law, solver, s.flops);

  Optimal result;
  const Size chosen = s.best_size >= 0 ? options.sizes[s.best_size] : Size{"", s.best.params, 0};
  const double per_sample = solver.flops_per_sample(chosen);
  result.params = draws.estimate(s.best.params, [](const Solution& d, const auto&) { return d.best.params; });
  result.samples = draws.estimate(s.best.samples, [](const Solution& d, const auto&) { return d.best.samples; });
  if (options.batch > 0)
    for (double Estimate::*part : {&Estimate::value, &Estimate::low95, &Estimate::high95})
      result.steps.*part = result.samples.*part / options.batch;
  result.value = draws.estimate(s.best.value, [](const Solution& d, const auto&) { return d.best.value; });
  result.flops = draws.estimate(s.flops, [](const Solution& d, const auto&) { return d.flops; });
  result.training_flops = per_sample * s.best.samples;
  result.serving_flops = options.spending.serving_flops(per_sample);
  result.params_exponent =
      draws.estimate(s.params_exponent, [](const Solution& d, const auto&) { return d.params_exponent; });
  result.samples_exponent =
      draws.estimate(s.samples_exponent, [](const Solution& d, const auto&) { return d.samples_exponent; });
  result.limit = s.best.limit;

  const auto overhead_of = [&](const Size& size) {
    const double cost = solver.flops_per_sample(size);
    return draws.estimate(solver.overhead(parameters, s, size.params, cost), [&](const Solution& d, const auto& drawn) {
      return std::isfinite(d.best.value) ? solver.overhead(drawn, d, size.params, cost) : kNan;
    });
  };
  result.overhead = overhead_of(chosen);
  for (size_t i = 0; i < options.sizes.size(); ++i) {
    SizeChoice choice;
    choice.size = options.sizes[i];
    choice.samples =
        draws.estimate(s.size_samples[i], [&](const Solution& d, const auto&) { return d.size_samples[i]; });
    choice.value = draws.estimate(s.size_values[i], [&](const Solution& d, const auto&) { return d.size_values[i]; });
    choice.flops = draws.estimate(s.size_flops[i], [&](const Solution& d, const auto&) { return d.size_flops[i]; });
    choice.best_share = draws.share([&](const Solution& d) { return d.best_size == static_cast<int>(i); });
    result.sizes.push_back(std::move(choice));
  }
  if (options.sizes.empty()) {
    for (double factor : options.off_factors) {
      const Size size{"", factor * s.best.params, 0};
      const double cost = solver.flops_per_sample(size);
      OffOptimum off{factor, size.params, options.spending.samples_within(s.flops, cost), kNan, overhead_of(size)};
      if (off.samples > 0)
        off.value = surface.value(parameters, size.params, off.samples, cost * off.samples);
      else
        off.samples = 0;
      result.off.push_back(off);
    }
    find_tolerated(surface, parameters, s, options, result);
  }

  const auto predicted = predict(law, surface.columns_at(s.best.params, s.best.samples, result.training_flops));
  if (!predicted.ok()) return predicted.status();
  result.prediction = *predicted;
  result.warnings = result.prediction.warnings;
  result.without_optimum = draws.share([](const Solution& d) { return d.best.limit == Limit::kUnbounded; });
  if (result.without_optimum > 0)
    result.warnings.push_back(
        fmt::format("in {:.2g} % of the draws there is no best size{}: the points do not settle it",
                    100 * result.without_optimum, options.target ? ", or the target is out of reach" : ""));
  return result;
}

}  // namespace scalelaw::analysis
