#include "analysis/budget_optima.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "absl/status/status.h"
#include "analysis/akima.h"

namespace scalelaw::analysis {
namespace {

/// Budgets at which the envelope of training curves is read off (Hoffmann et al. 2022 take 1500; neighbours share
/// their runs, so that more say nothing new).
constexpr int kEnvelopeBudgets = 200;
constexpr int kSurfaceBudgets = 8;
/// How far beyond the sizes that were tried the optimum of a surface is looked for, as a factor.
constexpr double kSurfaceReach = 1e4;

constexpr const char* kAtSmallest = "the best size is the smallest tried";
constexpr const char* kAtLargest = "the best size is the largest tried";

bool better_than(double a, double b, Better better) {
  return better == Better::kLower ? a < b : a > b;
}

std::vector<double> log_spaced(double low, double high, int count) {
  std::vector<double> result;
  for (int i = 0; i < count; ++i) result.push_back(low * std::pow(high / low, i / (count - 1.0)));
  return result;
}

/// y at x by straight lines between points; xs increasing, x within them.
double interpolate(const std::vector<double>& xs, const std::vector<double>& ys, double x) {
  const size_t above =
      std::clamp<size_t>(static_cast<size_t>(std::upper_bound(xs.begin(), xs.end(), x) - xs.begin()), 1, xs.size() - 1);
  const double share = (x - xs[above - 1]) / (xs[above] - xs[above - 1]);
  return ys[above - 1] + share * (ys[above] - ys[above - 1]);
}

double mean_value(const Cell& cell, const std::vector<double>& values) {
  double sum = 0;
  for (int row : cell.members) sum += values[row];
  return sum / static_cast<double>(cell.members.size());
}

/// Mean distance in logs between a budget's neighbouring sizes; 0 for one size.
double spacing(const std::vector<Cell>& sizes) {
  if (sizes.size() < 2) return 0;
  return std::log(sizes.back().params / sizes.front().params) / static_cast<double>(sizes.size() - 1);
}

/// The samples that go with a size of this budget that nobody trained.
double log_samples_at(const std::vector<Cell>& sizes, double log_params) {
  std::vector<double> x, y;
  for (const Cell& cell : sizes) {
    x.push_back(std::log(cell.params));
    y.push_back(std::log(cell.samples));
  }
  return interpolate(x, y, log_params);
}

FoundOptimum best_of_sizes(const std::vector<Cell>& sizes, const std::vector<double>& values, Better better) {
  size_t best = 0;
  for (size_t s = 1; s < sizes.size(); ++s)
    if (better_than(mean_value(sizes[s], values), mean_value(sizes[best], values), better)) best = s;
  const Cell& cell = sizes[best];
  FoundOptimum found{std::log(cell.params), std::log(cell.samples), mean_value(cell, values), ""};
  if (sizes.size() < 3)
    found.reason = "fewer than three sizes";
  else if (best == 0)
    found.reason = kAtSmallest;
  else if (best + 1 == sizes.size())
    found.reason = kAtLargest;
  return found;
}

FoundOptimum parabola_minimum(const std::vector<Cell>& sizes, const std::vector<double>& values, Better better) {
  std::vector<Cell> valued = sizes;
  for (Cell& cell : valued) cell.value = mean_value(cell, values);
  const IsoFlop iso = isoflop_minimum(std::move(valued), better);
  FoundOptimum found{std::log(iso.best_params), 0, iso.best_value, iso.reason};
  if (found.reason.empty()) found.log_samples = log_samples_at(sizes, found.log_params);
  return found;
}

FoundOptimum akima_optimum(const std::vector<Cell>& sizes, const std::vector<double>& values, Better better) {
  FoundOptimum found;
  if (sizes.size() < 3) {
    found.reason = "fewer than three sizes";
    return found;
  }
  const double sign = better == Better::kLower ? 1 : -1;
  std::vector<double> x, y;
  for (const Cell& cell : sizes) {
    x.push_back(std::log(cell.params));
    y.push_back(sign * std::log(mean_value(cell, values)));
  }
  const bool falling = y.back() < y.front();
  const std::optional<Akima::Point> lowest = Akima(x, std::move(y)).minimum();
  if (!lowest) {
    found.reason = falling ? kAtLargest : kAtSmallest;
    return found;
  }
  return {lowest->x, log_samples_at(sizes, lowest->x), std::exp(sign * lowest->y), ""};
}

/// One run's training, in logs.
struct Curve {
  double log_params = 0;
  std::vector<double> log_flops;
  std::vector<double> log_samples;
  std::vector<int> rows;

  bool covers(double log_c) const { return log_c >= log_flops.front() && log_c <= log_flops.back(); }
};

std::vector<Curve> training_curves(const SizingStudy& study) {
  std::vector<Curve> curves;
  for (const std::vector<int>& rows : study.rows) {
    Curve curve;
    for (int row : rows) {
      const Observation& o = study.observations[row];
      if (!curve.rows.empty() && !(std::log(o.flops) > curve.log_flops.back())) continue;
      curve.log_params = std::log(o.params);
      curve.log_flops.push_back(std::log(o.flops));
      curve.log_samples.push_back(std::log(o.samples));
      curve.rows.push_back(row);
    }
    if (curve.rows.size() >= 2) curves.push_back(std::move(curve));
  }
  return curves;
}

FoundOptimum best_of_curves(const std::vector<Curve>& curves, const std::vector<double>& values, double flops,
                            Better better) {
  const double log_c = std::log(flops);
  FoundOptimum best;
  double smallest = HUGE_VAL, largest = -HUGE_VAL;
  for (const Curve& curve : curves) {
    if (!curve.covers(log_c)) continue;
    std::vector<double> log_values;
    for (int row : curve.rows) log_values.push_back(std::log(values[row]));
    const double value = std::exp(interpolate(curve.log_flops, log_values, log_c));
    if (smallest > largest || better_than(value, best.value, better))
      best = {curve.log_params, interpolate(curve.log_flops, curve.log_samples, log_c), value, ""};
    smallest = std::min(smallest, curve.log_params);
    largest = std::max(largest, curve.log_params);
  }
  if (!(largest > smallest))
    best.reason = "fewer than two sizes";
  else if (best.log_params == smallest)
    best.reason = kAtSmallest;
  else if (best.log_params == largest)
    best.reason = kAtLargest;
  return best;
}

SizingMethod curves_method(const SizingStudy& study) {
  const std::vector<Curve> curves = training_curves(study);
  double low = HUGE_VAL, high = 0;
  std::vector<double> sizes;
  for (const Curve& curve : curves) {
    low = std::min(low, std::exp(curve.log_flops.front()));
    high = std::max(high, std::exp(curve.log_flops.back()));
    sizes.push_back(curve.log_params);
  }
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end(), [](double a, double b) { return b - a < 1e-3; }), sizes.end());
  const double gap = sizes.size() < 2 ? 0 : (sizes.back() - sizes.front()) / static_cast<double>(sizes.size() - 1);
  SizingMethod method{Approach::kEnvelope, log_spaced(low, high, kEnvelopeBudgets), {}, {}};
  method.unresolved.assign(method.flops.size(), gap / std::sqrt(12.0));
  method.optima = [curves, flops = method.flops, better = study.better](const std::vector<double>& values) {
    std::vector<FoundOptimum> found;
    for (double c : flops) found.push_back(best_of_curves(curves, values, c, better));
    return found;
  };
  return method;
}

}  // namespace

bool SizingStudy::has_curves() const {
  return std::any_of(rows.begin(), rows.end(), [&](const std::vector<int>& of_run) {
    return of_run.size() >= 3 && observations[of_run[0]].flops < observations[of_run[1]].flops &&
           observations[of_run[1]].flops < observations[of_run[2]].flops;
  });
}

SizingStudy make_study(std::vector<Observation> observations, Better better, double budget_tolerance) {
  SizingStudy study;
  study.observations = std::move(observations);
  study.better = better;
  study.budget_tolerance = budget_tolerance;
  std::map<std::string, int> number;
  double log_ratio = 0;
  for (size_t i = 0; i < study.observations.size(); ++i) {
    const Observation& o = study.observations[i];
    const auto [at, added] = number.emplace(o.run, static_cast<int>(study.rows.size()));
    if (added) study.rows.emplace_back();
    study.run.push_back(at->second);
    study.rows[at->second].push_back(static_cast<int>(i));
    log_ratio += std::log(o.flops / (o.params * o.samples));
  }
  study.flops_per_param_sample = std::exp(log_ratio / static_cast<double>(study.observations.size()));
  std::vector<Observation> last;
  std::vector<int> last_row;
  for (std::vector<int>& rows : study.rows) {
    std::stable_sort(rows.begin(), rows.end(),
                     [&](int a, int b) { return study.observations[a].flops < study.observations[b].flops; });
    last.push_back(study.observations[rows.back()]);
    last_row.push_back(rows.back());
  }
  for (Cell& cell : cells(last, budget_tolerance)) {
    for (int& member : cell.members) member = last_row[member];
    if (study.budgets.empty() || study.budgets.back().front().budget_flops != cell.budget_flops)
      study.budgets.emplace_back();
    study.budgets.back().push_back(std::move(cell));
  }
  return study;
}

SizingMethod envelope_method(const SizingStudy& study) {
  if (study.has_curves()) return curves_method(study);
  SizingMethod method{Approach::kEnvelope, {}, {}, {}};
  for (const std::vector<Cell>& sizes : study.budgets) {
    method.flops.push_back(sizes.front().budget_flops);
    // The best of sizes a step apart is anywhere within half a step.
    method.unresolved.push_back(spacing(sizes) / std::sqrt(12.0));
  }
  method.optima = [&study](const std::vector<double>& values) {
    std::vector<FoundOptimum> found;
    for (const std::vector<Cell>& sizes : study.budgets) found.push_back(best_of_sizes(sizes, values, study.better));
    return found;
  };
  return method;
}

SizingMethod isoflop_method(const SizingStudy& study, Approach approach) {
  SizingMethod method{approach, {}, {}, {}};
  for (const std::vector<Cell>& sizes : study.budgets) {
    method.flops.push_back(sizes.front().budget_flops);
    // Porian et al. 2024: what is interpolated between sizes is not known better than to a third of a step.
    method.unresolved.push_back(approach == Approach::kAkima ? spacing(sizes) / 3 : 0);
  }
  const auto optimum = approach == Approach::kAkima ? akima_optimum : parabola_minimum;
  method.optima = [&study, optimum](const std::vector<double>& values) {
    std::vector<FoundOptimum> found;
    for (const std::vector<Cell>& sizes : study.budgets) found.push_back(optimum(sizes, values, study.better));
    return found;
  };
  return method;
}

absl::StatusOr<FittedSurface> FittedSurface::fit(const SizingStudy& study, FitOptions options) {
  if (options.form.empty()) options.form = "chinchilla";
  options.points = "all";
  options.min_flops.reset();
  options.max_flops.reset();
  FittedSurface surface;
  std::vector<Observation> last;
  for (const std::vector<int>& rows : study.rows) {
    surface.rows_.push_back(rows.back());
    last.push_back(study.observations[rows.back()]);
  }
  absl::StatusOr<Problem> problem = make_problem(last, options);
  if (!problem.ok()) return problem.status();
  if (problem->columns != std::vector<std::string>{"params", "samples"})
    return absl::InvalidArgumentError(
        fmt::format("x: approach 3 needs a surface of params, samples, not of {}", fmt::join(problem->columns, ", ")));
  surface.problem_ = std::make_shared<const Problem>(*std::move(problem));
  surface.sample_ = make_sample(surface.problem_->points, *surface.problem_);
  surface.optima_ = minimise(*surface.problem_->form, surface.sample_, surface.problem_->criterion);
  if (surface.optima_.empty())
    return absl::FailedPreconditionError(
        fmt::format("form '{}' cannot describe these values", surface.problem_->form->name()));
  surface.parameters_ =
      surface.problem_->form->parameters(surface.optima_[0].coordinates.data(), surface.problem_->log_scale.data());
  surface.better_ = study.better;
  surface.flops_per_param_sample_ = study.flops_per_param_sample;
  const auto [low, high] = std::minmax_element(
      last.begin(), last.end(), [](const Observation& a, const Observation& b) { return a.params < b.params; });
  surface.log_low_ = std::log(low->params / kSurfaceReach);
  surface.log_high_ = std::log(high->params * kSurfaceReach);
  return surface;
}

SizingMethod FittedSurface::method(const SizingStudy& study) const {
  const auto [low, high] =
      std::minmax_element(study.observations.begin(), study.observations.end(),
                          [](const Observation& a, const Observation& b) { return a.flops < b.flops; });
  SizingMethod method{Approach::kParametric, log_spaced(low->flops, high->flops, kSurfaceBudgets), {}, {}};
  method.unresolved.assign(method.flops.size(), 0);
  method.optima = [this, &study, flops = method.flops](const std::vector<double>& values) {
    const std::vector<double> parameters = refitted(study, values);
    std::vector<FoundOptimum> found;
    for (double c : flops) found.push_back(optimum(parameters, c));
    return found;
  };
  return method;
}

std::vector<double> FittedSurface::values(const SizingStudy& study) const {
  std::vector<double> result;
  for (const Observation& o : study.observations) {
    const double x[] = {o.params, o.samples};
    result.push_back(problem_->form->value(parameters_.data(), x));
  }
  return result;
}

FoundOptimum FittedSurface::optimum(double flops) const {
  return optimum(parameters_, flops);
}

double FittedSurface::scatter(const SizingStudy& study) const {
  const std::vector<double> fitted = values(study);
  double sum = 0;
  for (int row : rows_) sum += std::pow(std::log(study.observations[row].value / fitted[row]), 2);
  return std::sqrt(sum / dof());
}

int FittedSurface::dof() const {
  return std::max(1, static_cast<int>(rows_.size() - parameters_.size()));
}

std::vector<double> FittedSurface::refitted(const SizingStudy& study, const std::vector<double>& values) const {
  Sample sample = sample_;
  bool same = true;
  for (size_t i = 0; i < rows_.size(); ++i) {
    sample.y[static_cast<Eigen::Index>(i)] = values[rows_[i]];
    same = same && values[rows_[i]] == study.observations[rows_[i]].value;
  }
  if (same) return parameters_;
  Optimum best;
  best.objective = HUGE_VAL;
  for (const Optimum& start : optima_) {
    Optimum candidate = polish(*problem_->form, sample, problem_->criterion, start.coordinates);
    if (candidate.objective < best.objective) best = std::move(candidate);
  }
  if (!std::isfinite(best.objective)) return parameters_;
  return problem_->form->parameters(best.coordinates.data(), problem_->log_scale.data());
}

FoundOptimum FittedSurface::optimum(const std::vector<double>& parameters, double flops) const {
  const double log_product = std::log(flops / flops_per_param_sample_);
  const double sign = better_ == Better::kLower ? 1 : -1;
  const auto cost = [&](double log_params) {
    const double x[] = {std::exp(log_params), std::exp(log_product - log_params)};
    return sign * problem_->form->value(parameters.data(), x);
  };
  // The best of a coarse grid, then its derivative's root by bisection: differences of the curve find it far more
  // exactly than its values, which are flat there.
  constexpr int kGrid = 200;
  const double step = (log_high_ - log_low_) / kGrid;
  int best = 0;
  for (int i = 1; i <= kGrid; ++i)
    if (cost(log_low_ + i * step) < cost(log_low_ + best * step)) best = i;
  if (best == 0 || best == kGrid) return {0, 0, 0, "the surface has no optimum along this budget"};
  double low = log_low_ + (best - 1) * step, high = log_low_ + (best + 1) * step;
  constexpr double kDifference = 1e-3;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (cost(middle + kDifference) > cost(middle - kDifference) ? high : low) = middle;
  }
  const double log_params = (low + high) / 2;
  return {log_params, log_product - log_params, sign * cost(log_params), ""};
}

}  // namespace scalelaw::analysis
