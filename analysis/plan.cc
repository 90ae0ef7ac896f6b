#include "analysis/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "absl/status/status.h"
#include "analysis/allocation.h"
#include "analysis/design.h"
#include "analysis/form.h"
#include "analysis/quantile.h"

namespace scalelaw::analysis {
namespace {

constexpr int kMostCandidates = 1000;
constexpr int kMostRuns = 1000;
constexpr int kFewestDraws = 100;
/// Wild draws of a small study count as this many robust standard deviations.
constexpr double kWildDraw = 5;
/// Columns that agree to this share are the same place.
constexpr double kSamePlace = 0.02;

absl::StatusOr<std::vector<double>> in_order(const Law& law, const std::map<std::string, double>& at,
                                             const std::string& field) {
  std::vector<double> x;
  for (const std::string& column : law.x) {
    const auto found = at.find(column);
    if (found == at.end() || at.size() != law.x.size())
      return absl::InvalidArgumentError(
          fmt::format("{}: give one value for each of the law's columns: {}", field, fmt::join(law.x, ", ")));
    if (!(found->second > 0) || !std::isfinite(found->second))
      return absl::InvalidArgumentError(
          fmt::format("{}: {} must be positive and finite, not {}", field, column, found->second));
    x.push_back(found->second);
  }
  return x;
}

absl::Status check(const Law& law, const PlanOptions& o) {
  if (o.at.empty() == !o.best_params_at_flops.has_value())
    return absl::InvalidArgumentError("at, best_params_at_flops: give one of them: what is to be predicted");
  if (!(o.flops >= 0) || !std::isfinite(o.flops))
    return absl::InvalidArgumentError(fmt::format("flops: must be finite and not negative, not {}", o.flops));
  if (o.flops == 0 && !o.half_width)
    return absl::InvalidArgumentError("flops: give a budget, or in half_width how narrow the interval must be");
  if (o.half_width && !(*o.half_width > 0))
    return absl::InvalidArgumentError(fmt::format("half_width: must be positive, not {}", *o.half_width));
  if (o.max_runs < 1 || o.max_runs > kMostRuns)
    return absl::InvalidArgumentError(fmt::format("max_runs: must be between 1 and {}, not {}", kMostRuns, o.max_runs));
  if (o.candidates.empty() || o.candidates.size() > kMostCandidates)
    return absl::InvalidArgumentError(
        fmt::format("candidates: between 1 and {} are possible, not {}", kMostCandidates, o.candidates.size()));
  for (size_t i = 0; i < o.candidates.size(); ++i) {
    if (!(o.candidates[i].flops > 0) || !std::isfinite(o.candidates[i].flops))
      return absl::InvalidArgumentError(
          fmt::format("candidates[{}].flops: must be positive, not {}", i, o.candidates[i].flops));
    if (o.candidates[i].repeats < 1)
      return absl::InvalidArgumentError(
          fmt::format("candidates[{}].repeats: must be at least 1, not {}", i, o.candidates[i].repeats));
  }
  if (static_cast<int>(law.draws.size()) < kFewestDraws)
    return absl::FailedPreconditionError(
        fmt::format("law: {} bootstrap draws, and a plan needs at least {}: fit it with a bootstrap", law.draws.size(),
                    kFewestDraws));
  if (!(law.sigma > 0))
    return absl::FailedPreconditionError("law: its points have no noise: there is nothing to narrow");
  return absl::OkStatus();
}

/// How far each draw lies from the law, in units of the residual, by the noise that the law has rather than the draw's
/// own: the draws of a small study share out Student's tails, which come back with the quantile.
class Deviations {
 public:
  explicit Deviations(const Law& law) : law_(law), rows_(static_cast<Eigen::Index>(law.draws.size())) {}

  /// `of`: the quantity by its parameters; in logs, or not.
  template <class Of>
  Eigen::VectorXd operator()(const Of& of, double value, bool log) const {
    Eigen::VectorXd result(rows_);
    for (Eigen::Index d = 0; d < rows_; ++d) {
      const Draw& draw = law_.draws[d];
      const double drawn = of(draw.parameters);
      const double deviation = log ? std::log(drawn / value) : drawn - value;
      result[d] = std::isfinite(deviation) ? deviation * law_.sigma / draw.sigma
                                           : std::copysign(std::numeric_limits<double>::max(), deviation);
    }
    return tamed(std::move(result));
  }

 private:
  static double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
  }
  /// About their median, with wild ones pulled in.
  static Eigen::VectorXd tamed(Eigen::VectorXd deviations) {
    const double centre = median({deviations.begin(), deviations.end()});
    std::vector<double> sizes;
    for (double& d : deviations) sizes.push_back(std::abs(d - centre));
    const double most = kWildDraw * 1.4826 * median(sizes);
    for (double& d : deviations) d = std::clamp(d - centre, -most, most);
    return deviations.array() - deviations.mean();
  }

  const Law& law_;
  const Eigen::Index rows_;
};

/// Half width of a 95 % interval, in units of the metric.
double half_width(double variance, double dof, double value, bool log) {
  const double h = student_quantile(0.975, static_cast<int>(dof)) * std::sqrt(std::max(0.0, variance));
  return log ? std::abs(value) * std::sinh(h) : h;
}
double variance_of(double half_width, double dof, double value, bool log) {
  const double h = log ? std::asinh(half_width / std::abs(value)) : half_width;
  return std::pow(h / student_quantile(0.975, static_cast<int>(dof)), 2);
}

bool same_place(const Law& law, const std::map<std::string, double>& at, const Observation& o) {
  for (const std::string& column : law.x) {
    const double there = at.at(column);
    const double here = column == "flops" && o.budget_flops > 0 ? o.budget_flops : column_value(o, column);
    if (!(std::abs(here / there - 1) <= kSamePlace)) return false;
  }
  return true;
}

std::int64_t next_seed(const Law& law, const std::vector<Observation>& observations,
                       const std::map<std::string, double>& at) {
  std::int64_t seed = 0;
  for (const Observation& o : observations)
    if (same_place(law, at, o)) seed = std::max(seed, o.seed + 1);
  return seed;
}

}  // namespace

absl::StatusOr<std::vector<Candidate>> candidate_grid(const Law& law, const std::vector<double>& budgets,
                                                      const std::vector<double>& sizes, int repeats,
                                                      const SurfaceOptions& options) {
  for (double flops : budgets)
    if (!(flops > 0) || !std::isfinite(flops))
      return absl::InvalidArgumentError(fmt::format("budgets: must be positive and finite, not {}", flops));
  for (double params : sizes)
    if (!(params > 0) || !std::isfinite(params))
      return absl::InvalidArgumentError(fmt::format("sizes: must be positive and finite, not {}", params));
  std::vector<Candidate> result;
  if (law.x.size() == 1) {
    if (law.x[0] != "flops" && law.x[0] != "C")
      return absl::InvalidArgumentError(
          fmt::format("law: a grid of budgets needs a law of flops, or of size and data, not of {}", law.x[0]));
    const double rung = law.points_kind == "frontier" ? std::max<double>(1, static_cast<double>(sizes.size())) : 1;
    for (double flops : budgets)
      result.push_back({{{law.x[0], flops}}, flops * rung, repeats, fmt::format("{:.3g} FLOPs", flops)});
    return result;
  }
  const absl::StatusOr<Surface> surface = Surface::make(law, options);
  if (!surface.ok()) return surface.status();
  for (double flops : budgets)
    for (double params : sizes) {
      const double samples = flops / surface->cost().per_sample(params);
      if (samples >= 1)
        result.push_back({surface->columns_at(params, samples, flops), flops, repeats,
                          fmt::format("{:.3g} parameters, {:.3g} FLOPs", params, flops)});
    }
  return result;
}

absl::StatusOr<Plan> plan(const Law& law, const std::vector<Observation>& observations, const PlanOptions& options) {
  if (absl::Status status = check(law, options); !status.ok()) return status;
  const std::unique_ptr<const Form> form = form_of(law);
  if (!form) return absl::InvalidArgumentError(fmt::format("form: '{}' is unknown to this version", law.form));
  std::vector<double> parameters;
  for (const Parameter& p : law.parameters) parameters.push_back(p.value);
  const auto curve_at = [&](const std::vector<double>& x) {
    return [&form, x](const std::vector<double>& p) { return form->value(p.data(), x.data()); };
  };
  const Deviations deviations(law);
  const bool log = law.objective.residual == "log";
  const auto count = static_cast<Eigen::Index>(options.candidates.size());
  Eigen::MatrixXd moved(static_cast<Eigen::Index>(law.draws.size()), count + 1);

  Design design;
  design.noise = law.sigma * law.sigma;
  for (Eigen::Index i = 0; i < count; ++i) {
    const Candidate& candidate = options.candidates[i];
    const auto x = in_order(law, candidate.at, fmt::format("candidates[{}].at", i));
    if (!x.ok()) return x.status();
    moved.col(i) = deviations(curve_at(*x), form->value(parameters.data(), x->data()), log);
    design.cost.push_back(candidate.flops);
    design.repeats.push_back(candidate.repeats);
  }

  Plan result;
  const bool of_size = options.best_params_at_flops.has_value();
  const bool log_target = log || of_size;
  if (of_size) {
    const auto surface = Surface::make(law, options.surface);
    if (!surface.ok()) return surface.status();
    const auto best = [&](const std::vector<double>& p) {
      return best_allocation(*surface, p, *options.best_params_at_flops, {}).params;
    };
    result.target = best(parameters);
    if (!(result.target > 0) || !std::isfinite(result.target))
      return absl::FailedPreconditionError(
          fmt::format("law: it has no best size at {:.4g} FLOPs", *options.best_params_at_flops));
    moved.col(count) = deviations(best, result.target, true);
  } else {
    const auto x = in_order(law, options.at, "at");
    if (!x.ok()) return x.status();
    result.target = form->value(parameters.data(), x->data());
    moved.col(count) = deviations(curve_at(*x), result.target, log);
  }
  design.covariance = moved.transpose() * moved / static_cast<double>(moved.rows() - 1);

  // The half width of ln N stands for a share of N.
  const double unit = of_size ? 1 : result.target;
  DesignLimits limits;
  limits.budget = options.flops > 0 ? options.flops : std::numeric_limits<double>::infinity();
  limits.max_runs = options.max_runs;
  if (options.half_width)
    for (int n = 0; n <= options.max_runs; ++n)
      limits.enough.push_back(variance_of(*options.half_width, law.sigma_dof + n, unit, log_target));
  const std::vector<int> chosen = choose(design, limits);
  const std::vector<double> variance = variances(design, chosen);

  const auto widths = [&](size_t n) {
    const double dof = law.sigma_dof + static_cast<double>(n);
    return Widths{half_width(variance[n], dof, unit, log_target),
                  of_size ? 0 : half_width(variance[n] + design.noise, dof, unit, log_target)};
  };
  result.before = widths(0);
  result.after = widths(chosen.size());
  std::vector<int> taken(options.candidates.size(), 0);
  for (size_t n = 0; n < chosen.size(); ++n) {
    const Candidate& candidate = options.candidates[chosen[n]];
    PlannedRun run;
    run.candidate = chosen[n];
    run.at = candidate.at;
    run.flops = candidate.flops;
    run.seed = next_seed(law, observations, candidate.at) + taken[chosen[n]]++;
    run.contribution = (variance[n] - variance[n + 1]) / (variance.front() - variance.back());
    run.half_width = widths(n + 1).curve;
    result.flops += run.flops;
    result.runs.push_back(std::move(run));
  }
  if (options.half_width) {
    result.reached = result.after.curve <= *options.half_width * (1 + 1e-9);
    if (!result.reached)
      result.warnings.push_back(
          fmt::format("±{:.4g} is not reached: these {} runs come to ±{:.4g}; more budget, repeats or max_runs, or "
                      "candidates nearer to the target, would",
                      *options.half_width, result.runs.size(), result.after.curve));
  }
  if (chosen.empty() && result.reached && options.half_width)
    result.warnings.push_back("no run is needed: the interval is narrow enough already");
  if (chosen.empty() && !options.half_width)
    result.warnings.push_back(
        fmt::format("flops: {:.4g} do not pay for any candidate that narrows the prediction", options.flops));
  return result;
}

}  // namespace scalelaw::analysis
