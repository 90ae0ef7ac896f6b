#include "analysis/approaches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "analysis/budget_optima.h"
#include "analysis/parallel.h"
#include "analysis/quantile.h"
#include "analysis/random.h"

namespace scalelaw::analysis {
namespace {

constexpr Approach kAll[] = {Approach::kEnvelope, Approach::kParabola, Approach::kAkima, Approach::kParametric};
constexpr int kFewestDraws = 50;
constexpr int kFewestNoiseDegrees = 5;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Standard deviation by half of the central 68 %: Student's noise of few degrees of freedom has no other. NaNs are
/// left out; 0 for fewer than two values.
double spread(std::vector<double> values) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  if (values.size() < 2) return 0;
  const auto at = [&](double q) {
    const auto place = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(values.begin(), values.begin() + place, values.end());
    return values[place];
  };
  const double low = at(0.1586553);
  return (at(0.8413447) - low) / 2;
}

absl::Status check(const std::vector<Observation>& observations, const ApproachOptions& options) {
  if (!(options.budget_tolerance >= 0 && options.budget_tolerance < 1))
    return absl::InvalidArgumentError(
        fmt::format("budget_tolerance: must be in [0, 1), not {}", options.budget_tolerance));
  if (options.noise && !(*options.noise >= 0 && std::isfinite(*options.noise)))
    return absl::InvalidArgumentError(fmt::format("noise: must be ≥ 0 and finite, not {}", *options.noise));
  if (options.draws < kFewestDraws || options.draws > kMaxBootstrap)
    return absl::InvalidArgumentError(
        fmt::format("draws: must be between {} and {}, not {}", kFewestDraws, kMaxBootstrap, options.draws));
  if (!(options.at_flops >= 0 && std::isfinite(options.at_flops)))
    return absl::InvalidArgumentError(fmt::format("at_flops: must be ≥ 0 and finite, not {}", options.at_flops));
  if (observations.empty())
    return absl::FailedPreconditionError(fmt::format("no observations of {}", options.surface.metric));
  for (const Observation& o : observations)
    for (const auto& [name, value] : {std::pair<std::string, double>{"params", o.params},
                                      {"samples", o.samples},
                                      {"flops", o.flops},
                                      {options.surface.metric, o.value}})
      if (!(value > 0) || !std::isfinite(value))
        return absl::InvalidArgumentError(
            fmt::format("run {}: {} must be positive and finite, not {}", o.run, name, value));
  return absl::OkStatus();
}

struct RunNoise {
  double sigma = 0;
  int dof = 0;
  std::string source;
};

/// Scatter between the seeds of one size at one budget.
RunNoise seed_noise(const SizingStudy& study) {
  double sum = 0;
  int dof = 0;
  for (const std::vector<Cell>& sizes : study.budgets)
    for (const Cell& cell : sizes) {
      // A wide budget may hold one size at different FLOPs: these are no seeds.
      const auto [low, high] = std::minmax_element(cell.members.begin(), cell.members.end(), [&](int a, int b) {
        return study.observations[a].flops < study.observations[b].flops;
      });
      if (study.observations[*high].flops > study.observations[*low].flops * (1 + kSameBudget)) continue;
      for (int row : cell.members) sum += std::pow(std::log(study.observations[row].value / cell.value), 2);
      dof += static_cast<int>(cell.members.size()) - 1;
    }
  return {dof > 0 ? std::sqrt(sum / dof) : 0, dof, "seeds"};
}

/// Scatter of sizes about the parabola of their budget.
RunNoise parabola_noise(const SizingStudy& study) {
  double sum = 0;
  int dof = 0;
  for (const std::vector<Cell>& sizes : study.budgets) {
    if (sizes.size() < 4) continue;
    const IsoFlop iso = isoflop_minimum(sizes, study.better);
    for (const Cell& cell : sizes) {
      const double u = std::log(cell.params), fitted = iso.c0 + u * (iso.c1 + u * iso.c2);
      sum += std::pow(std::log(cell.value / fitted), 2) * static_cast<double>(cell.members.size());
    }
    dof += static_cast<int>(sizes.size()) - 3;
  }
  return {dof > 0 ? std::sqrt(sum / dof) : 0, dof, "parabolas"};
}

absl::StatusOr<RunNoise> find_noise(const ApproachOptions& options, const SizingStudy& study,
                                    const absl::StatusOr<FittedSurface>& surface) {
  if (options.noise) return RunNoise{*options.noise, 0, "given"};
  if (RunNoise noise = seed_noise(study); noise.dof >= kFewestNoiseDegrees) return noise;
  if (RunNoise noise = parabola_noise(study); noise.dof >= kFewestNoiseDegrees) return noise;
  if (surface.ok()) return RunNoise{surface->scatter(study), surface->dof(), "surface"};
  return absl::FailedPreconditionError(
      "noise: neither seeds nor sizes nor a surface tell the noise of a run; give it (standard deviation of ln value)");
}

/// The values of all rows in every draw: rows of one run move together.
std::vector<std::vector<double>> disturbed_values(const SizingStudy& study, const RunNoise& noise,
                                                  const ApproachOptions& options) {
  if (noise.sigma == 0) return {};
  std::vector<std::vector<double>> draws(options.draws);
  for (int d = 0; d < options.draws; ++d) {
    Random random(options.surface.seed, static_cast<std::uint64_t>(d));
    const double inflation = noise.dof > 0 ? std::min(60.0, std::sqrt(noise.dof / random.chi_squared(noise.dof))) : 1.0;
    std::vector<double> factor;
    for (size_t r = 0; r < study.rows.size(); ++r)
      factor.push_back(std::exp(noise.sigma * inflation * random.normal()));
    for (size_t i = 0; i < study.observations.size(); ++i)
      draws[d].push_back(study.observations[i].value * factor[study.run[i]]);
  }
  return draws;
}

/// The power law through some of a method's budgets.
absl::StatusOr<PowerLaw> law_through(const SizingMethod& method, const std::vector<FoundOptimum>& found,
                                     const std::vector<size_t>& budgets, const std::vector<double>& log_std,
                                     double FoundOptimum::*quantity) {
  std::vector<double> x, y, std;
  for (size_t k = 0; k < budgets.size(); ++k) {
    if (!found[budgets[k]].reason.empty()) continue;
    x.push_back(method.flops[budgets[k]]);
    y.push_back(std::exp(found[budgets[k]].*quantity));
    std.push_back(log_std[k]);
  }
  // Without noise and between no sizes, all count the same.
  if (std::any_of(std.begin(), std.end(), [](double s) { return s == 0; })) std.clear();
  return fit_power_law(x, y, std);
}

/// Replaces the errors that the optima's standard deviations imply by those found: see `OptimalSizes::params`.
void set_errors(PowerLaw& law, bool weighted, double draw_se, double draw_level_se, const RunNoise& noise) {
  const double shrink = weighted && law.scatter < 1 ? law.scatter : 1;
  const bool scattered = law.exponent_se * shrink >= draw_se;
  law.exponent_se = std::max(law.exponent_se * shrink, draw_se);
  law.level_se = std::max(law.level_se * shrink, draw_level_se);
  const double reach = scattered       ? student_quantile(0.975, law.dof)
                       : noise.dof > 0 ? student_quantile(0.975, noise.dof)
                                       : normal_quantile(0.975);
  law.exponent_low95 = law.exponent - reach * law.exponent_se;
  law.exponent_high95 = law.exponent + reach * law.exponent_se;
}

/// The budgets that have an optimum on the values measured and in most draws, with its standard deviation.
std::vector<size_t> usable_budgets(const SizingMethod& method, const std::vector<FoundOptimum>& found,
                                   const std::vector<std::vector<FoundOptimum>>& draws, OptimalSizes& result) {
  std::vector<size_t> usable;
  for (size_t b = 0; b < method.flops.size(); ++b) {
    std::vector<double> log_params;
    for (const std::vector<FoundOptimum>& draw : draws)
      if (draw[b].reason.empty()) log_params.push_back(draw[b].log_params);
    std::string reason = found[b].reason;
    if (reason.empty() && 2 * log_params.size() < draws.size())
      reason = "noise moves the optimum to an end of the sizes tried in most draws";
    if (!reason.empty()) {
      result.skipped.push_back({method.flops[b], reason});
      continue;
    }
    // Porian et al. 2024: an optimum that some draws do not have is known less well.
    const double share = draws.empty() ? 1 : static_cast<double>(log_params.size()) / static_cast<double>(draws.size());
    const double by_noise = spread(std::move(log_params));
    const double log_std = method.approach == Approach::kAkima ? std::max(by_noise, method.unresolved[b])
                                                               : std::hypot(by_noise, method.unresolved[b]);
    result.optima.push_back({method.flops[b], std::exp(found[b].log_params), std::exp(found[b].log_samples),
                             found[b].value, draws.empty() ? 0 : log_std / share});
    usable.push_back(b);
  }
  return usable;
}

absl::StatusOr<OptimalSizes> run_method(const SizingMethod& method, const SizingStudy& study,
                                        const std::vector<std::vector<double>>& draws, const RunNoise& noise,
                                        const absl::StatusOr<FittedSurface>& surface, double at_flops, int threads) {
  std::vector<double> values;
  for (const Observation& o : study.observations) values.push_back(o.value);
  const std::vector<FoundOptimum> found = method.optima(values);
  std::vector<std::vector<FoundOptimum>> drawn(draws.size());
  parallel_for(static_cast<int>(draws.size()), threads, [&](int d) { drawn[d] = method.optima(draws[d]); });

  OptimalSizes result;
  result.approach = method.approach;
  const std::vector<size_t> usable = usable_budgets(method, found, drawn, result);
  std::vector<double> log_std;
  for (const BudgetOptimum& optimum : result.optima) log_std.push_back(optimum.log_std);
  absl::StatusOr<PowerLaw> params = law_through(method, found, usable, log_std, &FoundOptimum::log_params);
  if (!params.ok()) {
    std::string why;
    for (const BudgetWithout& budget : result.skipped)
      if (why.find(budget.reason) == std::string::npos) why += (why.empty() ? "" : "; ") + budget.reason;
    return absl::FailedPreconditionError(fmt::format("{} of {} budgets have an optimum, a power law needs 3{}",
                                                     usable.size(), method.flops.size(),
                                                     why.empty() ? "" : " (" + why + ")"));
  }
  result.params = *params;
  result.samples = *law_through(method, found, usable, log_std, &FoundOptimum::log_samples);

  std::vector<double> level;
  for (const std::vector<FoundOptimum>& draw : drawn) {
    const absl::StatusOr<PowerLaw> law = law_through(method, draw, usable, log_std, &FoundOptimum::log_params);
    result.draw_exponent.push_back(law.ok() ? law->exponent : kNaN);
    result.draw_log_params.push_back(law.ok() ? std::log(law->at(at_flops)) : kNaN);
    level.push_back(law.ok() ? std::log(law->at(std::exp(params->log_centre))) : kNaN);
  }
  const bool weighted = !drawn.empty() && std::none_of(log_std.begin(), log_std.end(), [](double s) { return s == 0; });
  const double draw_se = spread(result.draw_exponent), draw_level_se = spread(std::move(level));
  set_errors(result.params, weighted, draw_se, draw_level_se, noise);
  set_errors(result.samples, weighted, draw_se, draw_level_se, noise);

  if (method.approach != Approach::kParametric && surface.ok()) {
    const SizingMethod truth = surface->method(study);
    const std::vector<FoundOptimum> true_optima = truth.optima(values);
    std::vector<size_t> all(true_optima.size());
    for (size_t k = 0; k < all.size(); ++k) all[k] = k;
    const auto true_law =
        law_through(truth, true_optima, all, std::vector<double>(all.size(), 0), &FoundOptimum::log_params);
    const auto own =
        law_through(method, method.optima(surface->values(study)), usable, log_std, &FoundOptimum::log_params);
    const FoundOptimum there = surface->optimum(at_flops);
    if (true_law.ok() && own.ok() && there.reason.empty())
      result.own_bias = OwnBias{own->exponent - true_law->exponent, std::log(own->at(at_flops)) - there.log_params};
  }
  if (!result.skipped.empty() && method.flops.size() < 100)
    result.warnings.push_back(fmt::format("{} of {} budgets are left out: {} at {:.3g} FLOPs", result.skipped.size(),
                                          method.flops.size(), result.skipped[0].reason, result.skipped[0].flops));
  return result;
}

struct Quantity {
  const char* name;
  double a, b, se_a, se_b, bias_a, bias_b;
  const std::vector<double>& draws_a;
  const std::vector<double>& draws_b;
};

Disagreement compare(const OptimalSizes& a, const OptimalSizes& b, const Quantity& q, const RunNoise& noise,
                     int tests) {
  Disagreement result{a.approach, b.approach, q.name, q.a, q.b};
  std::vector<double> difference;
  for (size_t d = 0; d < q.draws_a.size(); ++d) difference.push_back(q.draws_a[d] - q.draws_b[d]);
  double variance = std::pow(spread(std::move(difference)), 2);
  int dof = noise.dof > 0 ? noise.dof : std::numeric_limits<int>::max();
  // What an approach's optima scatter beyond the noise of the runs is its own, and not shared.
  for (const auto& [sizes, se, draws] :
       {std::tuple<const OptimalSizes*, double, const std::vector<double>*>{&a, q.se_a, &q.draws_a},
        {&b, q.se_b, &q.draws_b}}) {
    const double of_noise = spread(*draws);
    if (se <= of_noise) continue;
    variance += se * se - of_noise * of_noise;
    dof = std::min(dof, sizes->params.dof);
  }
  result.se = std::sqrt(variance);
  result.expected = q.bias_a - q.bias_b;
  result.z = (q.a - q.b) / result.se;
  result.critical = student_quantile(1 - 0.025 / tests, dof);
  result.disagree = std::abs(result.z) > result.critical;
  return result;
}

void compare_all(ApproachComparison& study, const RunNoise& noise) {
  const std::vector<OptimalSizes>& all = study.approaches;
  const int tests = static_cast<int>(all.size() * (all.size() - 1));
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = i + 1; j < all.size(); ++j) {
      const OptimalSizes &a = all[i], &b = all[j];
      const OwnBias bias_a = a.own_bias.value_or(OwnBias{}), bias_b = b.own_bias.value_or(OwnBias{});
      study.disagreements.push_back(
          compare(a, b,
                  {"exponent", a.params.exponent, b.params.exponent, a.params.exponent_se, b.params.exponent_se,
                   bias_a.exponent, bias_b.exponent, a.draw_exponent, b.draw_exponent},
                  noise, tests));
      study.disagreements.push_back(
          compare(a, b,
                  {"params", std::log(a.params.at(study.at_flops)), std::log(b.params.at(study.at_flops)),
                   a.params.log_se(study.at_flops), b.params.log_se(study.at_flops), bias_a.log_params,
                   bias_b.log_params, a.draw_log_params, b.draw_log_params},
                  noise, tests));
    }
}

std::string describe(const Disagreement& d, double at_flops) {
  const std::string_view a = approach_name(d.a), b = approach_name(d.b);
  const double error = d.critical * d.se;
  if (d.quantity == "exponent")
    return fmt::format(
        "{} and {} disagree on the exponent of N*: {:.4f} against {:.4f}, {:.4f} apart where errors "
        "allow {:.4f} (their own biases explain {:+.4f})",
        a, b, d.a_value, d.b_value, std::abs(d.a_value - d.b_value), error, d.expected);
  return fmt::format(
      "{} and {} disagree on N* at {:.3g} FLOPs: {:.4g} against {:.4g}, a factor {:.3g} where errors "
      "allow {:.3g} (their own biases explain {:.3g})",
      a, b, at_flops, std::exp(d.a_value), std::exp(d.b_value), std::exp(std::abs(d.a_value - d.b_value)),
      std::exp(error), std::exp(std::abs(d.expected)));
}

std::string verdict(const ApproachComparison& study) {
  if (study.approaches.size() < 2) return "one approach only: nothing to compare it with";
  if (study.noise == 0) return "without noise of a run there are no errors to judge the approaches by";
  std::string text;
  for (const Disagreement& d : study.disagreements)
    if (d.disagree) text += (text.empty() ? "" : "; ") + describe(d, study.at_flops);
  return text.empty() ? "the approaches agree within their errors" : text;
}

}  // namespace

std::string_view approach_name(Approach approach) {
  switch (approach) {
    case Approach::kEnvelope:
      return "envelope";
    case Approach::kParabola:
      return "parabola";
    case Approach::kAkima:
      return "akima";
    case Approach::kParametric:
      return "parametric";
  }
  return "";
}

absl::StatusOr<Approach> approach_of(std::string_view name) {
  for (Approach approach : kAll)
    if (approach_name(approach) == name) return approach;
  return absl::InvalidArgumentError(
      fmt::format("approach: '{}' is unknown; known: envelope, parabola, akima, parametric", name));
}

absl::StatusOr<ApproachComparison> compare_approaches(const std::vector<Observation>& observations,
                                                      const ApproachOptions& options) {
  std::vector<Observation> within;
  for (const Observation& o : observations)
    if (within_flops(options.surface, o.flops)) within.push_back(o);
  if (absl::Status status = check(within, options); !status.ok()) return status;

  const SizingStudy study = make_study(std::move(within), options.better, options.budget_tolerance);
  const absl::StatusOr<FittedSurface> surface = FittedSurface::fit(study, options.surface);
  const absl::StatusOr<RunNoise> noise = find_noise(options, study, surface);
  if (!noise.ok()) return noise.status();
  const std::vector<std::vector<double>> draws = disturbed_values(study, *noise, options);

  ApproachComparison result;
  result.noise = noise->sigma;
  result.noise_dof = noise->dof;
  result.noise_source = noise->source;
  result.flops_per_param_sample = study.flops_per_param_sample;
  result.at_flops = options.at_flops > 0 ? options.at_flops : study.budgets.back().front().budget_flops;
  const std::vector<Approach> wanted =
      options.approaches.empty() ? std::vector<Approach>(std::begin(kAll), std::end(kAll)) : options.approaches;
  for (Approach approach : wanted) {
    absl::StatusOr<OptimalSizes> sizes =
        approach == Approach::kParametric && !surface.ok()
            ? absl::StatusOr<OptimalSizes>(surface.status())
            : run_method(approach == Approach::kParametric ? surface->method(study)
                         : approach == Approach::kEnvelope ? envelope_method(study)
                                                           : isoflop_method(study, approach),
                         study, draws, *noise, surface, result.at_flops, options.surface.threads);
    if (sizes.ok())
      result.approaches.push_back(*std::move(sizes));
    else
      result.impossible.push_back(
          fmt::format("{}: {}", approach_name(approach), std::string(sizes.status().message())));
  }
  if (result.approaches.empty())
    return absl::FailedPreconditionError(
        fmt::format("no approach is possible: {}", fmt::join(result.impossible, "; ")));
  if (result.noise > 0) compare_all(result, *noise);
  result.verdict = verdict(result);
  return result;
}

}  // namespace scalelaw::analysis
