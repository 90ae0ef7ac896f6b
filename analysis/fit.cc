#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/status/status.h"
#include "analysis/bootstrap.h"
#include "analysis/law.h"
#include "analysis/problem.h"
#include "analysis/search.h"

namespace scalelaw::analysis {
namespace {

/// Fewer degrees of freedom than this make intervals that are honest but wide, and say so.
constexpr int kFewDegrees = 3;
/// Another minimum within this share of the best objective is worth a word.
constexpr double kNearlyAsGood = 0.02;

std::string_view name_of(Penalty penalty) {
  return penalty == Penalty::kL2 ? "l2" : penalty == Penalty::kHuber ? "huber" : "lad";
}

/// Linear interpolation between order statistics; `sorted` is not empty.
double quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  if (sorted[below] == sorted[above]) return sorted[below];
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

std::vector<Parameter> describe_parameters(const Problem& problem, const Sample& sample, const Optimum& optimum,
                                           const std::vector<Draw>& draws, const std::map<std::string, double>& fixed) {
  const std::vector<Coordinate> coordinates = problem.form->coordinates(sample.logx);
  std::vector<double> low, high;
  for (const Coordinate& c : coordinates) {
    low.push_back(c.low);
    high.push_back(c.high);
  }
  const double* scale = problem.log_scale.data();
  const std::vector<double> lowest = problem.form->parameters(low.data(), scale);
  const std::vector<double> highest = problem.form->parameters(high.data(), scale);
  const std::vector<double> values = problem.form->parameters(optimum.coordinates.data(), scale);
  const std::vector<std::string> names = problem.form->parameter_names();
  std::vector<Parameter> result;
  for (size_t j = 0; j < names.size(); ++j) {
    Parameter p{names[j], values[j], 0, values[j], values[j], true};
    if (!draws.empty()) {
      std::vector<double> sorted;
      for (const Draw& draw : draws) sorted.push_back(draw.parameters[j]);
      std::sort(sorted.begin(), sorted.end());
      p.ci95_low = quantile(sorted, 0.025);
      p.ci95_high = quantile(sorted, 0.975);
      // Half of the central 68 %: a few wild draws of a small study have no say in it.
      p.se = (quantile(sorted, 0.8413447) - quantile(sorted, 0.1586553)) / 2;
    }
    const double margin = 1e-6 * std::abs(values[j]);
    const bool at_low = std::isfinite(lowest[j]) && p.ci95_low <= lowest[j] + margin;
    const bool at_high = std::isfinite(highest[j]) && p.ci95_high >= highest[j] - margin;
    p.fixed = fixed.contains(p.name);
    p.identified = p.fixed || (!at_low && !at_high);
    result.push_back(std::move(p));
  }
  return result;
}

double r_squared(const Law& law) {
  double mean = 0, about_curve = 0, about_mean = 0;
  for (const Point& p : law.points) mean += p.value / static_cast<double>(law.points.size());
  for (const Point& p : law.points) {
    about_curve += std::pow(p.value - evaluate(law, p.x), 2);
    about_mean += std::pow(p.value - mean, 2);
  }
  return about_mean > 0 ? 1 - about_curve / about_mean : 0;
}

/// Of ln x and ln y, for a law of one column with positive values; else 0.
double pearson_log(const Law& law) {
  if (law.x.size() != 1) return 0;
  const double n = static_cast<double>(law.points.size());
  double mean_x = 0, mean_y = 0;
  for (const Point& p : law.points) {
    if (p.value <= 0) return 0;
    mean_x += std::log(p.x[0]) / n;
    mean_y += std::log(p.value) / n;
  }
  double xx = 0, yy = 0, xy = 0;
  for (const Point& p : law.points) {
    const double dx = std::log(p.x[0]) - mean_x, dy = std::log(p.value) - mean_y;
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

void warn_of_frontier(const Problem& problem, std::vector<std::string>& warnings) {
  if (!problem.on_frontier) return;
  int smallest = 0, largest = 0, alone = 0;
  for (const Cell& point : problem.points) {
    double low = point.params, high = point.params;
    for (const Cell& cell : problem.cells)
      if (cell.budget_flops == point.budget_flops) {
        low = std::min(low, cell.params);
        high = std::max(high, cell.params);
      }
    if (low == high)
      ++alone;
    else if (point.params == low)
      ++smallest;
    else if (point.params == high)
      ++largest;
  }
  if (alone > 0)
    warnings.push_back(fmt::format("{} of {} budgets have one size only: their points may lie off the frontier", alone,
                                   problem.points.size()));
  if (largest > 0)
    warnings.push_back(fmt::format("at {} of {} budgets the best size is the largest tried: a larger one may be better",
                                   largest, problem.points.size()));
  if (smallest > 0)
    warnings.push_back(
        fmt::format("at {} of {} budgets the best size is the smallest tried: a smaller one may be better", smallest,
                    problem.points.size()));
}

void warn_of_noise(const Problem& problem, const Noise& noise, std::vector<std::string>& warnings) {
  const bool any_seeds =
      std::any_of(problem.cells.begin(), problem.cells.end(), [](const Cell& cell) { return cell.members.size() > 1; });
  if (problem.on_frontier && !any_seeds)
    warnings.push_back("one seed per size and budget: the noise is known from the scatter about the curve alone");
  if (!noise.per_run)
    warnings.push_back("the points scatter about the curve more than seeds differ: the form does not quite fit");
  if (noise.dof < kFewDegrees)
    warnings.push_back(
        fmt::format("{} points for {} parameters: the noise is known to {} degree(s) of freedom only, "
                    "which makes the intervals wide; more budgets or seeds would narrow them",
                    problem.points.size(), problem.form->parameter_names().size(), noise.dof));
}

void warn_of_parameters(const Law& law, std::vector<std::string>& warnings) {
  for (const Parameter& p : law.parameters)
    if (!p.identified)
      warnings.push_back(fmt::format(
          "{} = {:.4g} is not identified by these points: its 95 % interval [{:.4g}, {:.4g}] reaches the end of what "
          "is possible",
          p.name, p.value, p.ci95_low, p.ci95_high));
  for (size_t b = 1; b < law.basins.size(); ++b)
    if (law.basins[b].objective <= law.basins[0].objective * (1 + kNearlyAsGood))
      warnings.push_back(fmt::format("another minimum is nearly as good: objective {:.6g} against {:.6g}",
                                     law.basins[b].objective, law.basins[0].objective));
}

void describe_points(const Problem& problem, Law& law) {
  for (const Cell& cell : problem.points) {
    Point point;
    point.value = cell.value;
    for (const std::string& column : problem.columns) point.x.push_back(column_value(problem, cell, column));
    for (int m : cell.members) point.runs.push_back(problem.observations[m].run);
    law.points.push_back(std::move(point));
  }
  for (size_t c = 0; c < problem.columns.size(); ++c) {
    Range range{problem.columns[c], law.points[0].x[c], law.points[0].x[c]};
    for (const Point& point : law.points) {
      range.low = std::min(range.low, point.x[c]);
      range.high = std::max(range.high, point.x[c]);
    }
    law.ranges.push_back(std::move(range));
  }
}

}  // namespace

absl::StatusOr<Law> fit(const std::vector<Observation>& observations, const FitOptions& options) {
  absl::StatusOr<Problem> made = make_problem(observations, options);
  if (!made.ok()) return made.status();
  const Problem& problem = *made;
  const Sample sample = make_sample(problem.points, problem);
  const std::vector<Optimum> optima = minimise(*problem.form, sample, problem.criterion);
  if (optima.empty())
    return absl::FailedPreconditionError(
        fmt::format("form '{}' cannot describe these values of {}", problem.form->name(), options.metric));
  const Optimum& best = optima.front();
  const Noise noise = estimate_noise(problem, sample, best);

  Law law;
  law.metric = options.metric;
  law.form = problem.form->name();
  law.x = problem.columns;
  law.objective = {std::string(name_of(problem.criterion.penalty)),
                   problem.criterion.residual == Residual::kLog ? "log" : "raw", problem.criterion.delta,
                   best.objective};
  if (problem.form->bounded()) {
    law.chance = options.chance;
    law.ceiling = options.ceiling;
  }
  for (const Optimum& optimum : optima)
    law.basins.push_back(
        {problem.form->parameters(optimum.coordinates.data(), problem.log_scale.data()), optimum.objective});
  law.draws = bootstrap(problem, sample, best, noise, options.bootstrap, options.seed, options.threads);
  law.sigma = noise.sigma;
  law.sigma_dof = noise.dof;
  law.parameters = describe_parameters(problem, sample, best, law.draws, options.fixed);
  law.formula = options.metric + " = " + problem.form->formula(law.basins[0].parameters.data(), problem.columns);
  law.points_kind = problem.on_frontier ? "frontier" : "all";
  law.observations_hash = options.observations_hash;
  law.code_version = options.code_version;
  describe_points(problem, law);
  law.r2 = r_squared(law);
  law.pearson_log = pearson_log(law);
  law.warnings = problem.warnings;
  warn_of_frontier(problem, law.warnings);
  warn_of_noise(problem, noise, law.warnings);
  warn_of_parameters(law, law.warnings);
  return law;
}

}  // namespace scalelaw::analysis
