#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/status/status.h"
#include "analysis/bootstrap.h"
#include "analysis/breaks.h"
#include "analysis/chain.h"
#include "analysis/hygiene.h"
#include "analysis/intervals.h"
#include "analysis/law.h"
#include "analysis/linearised.h"
#include "analysis/noise.h"
#include "analysis/problem.h"
#include "analysis/rivals.h"
#include "analysis/search.h"

namespace scalelaw::analysis {
namespace {

/// Fewer degrees of freedom than this make intervals that are honest but wide, and say so.
constexpr int kFewDegrees = 3;
/// Another minimum within this share of the best objective is worth a word.
constexpr double kNearlyAsGood = 0.02;
/// Beyond this condition number rounding of the third digit of the values moves the parameters by as much as they are.
constexpr double kIllConditioned = 1000;
/// A rival with less of the weight than this has no say.
constexpr double kNoSay = 0.005;

std::string_view name_of(Penalty penalty) {
  return penalty == Penalty::kL2 ? "l2" : penalty == Penalty::kHuber ? "huber" : "lad";
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

void warn_of_repeated_runs(const Problem& problem, Resampling resampling, std::vector<std::string>& warnings) {
  const RepeatedRuns rows = repeated_runs(problem.observations);
  if (rows.repeated == 0 || resampling == Resampling::kCluster || resampling == Resampling::kWild) return;
  warnings.push_back(fmt::format(
      "{} of {} runs have several rows, which '{}' takes for independent: intervals are too narrow{}", rows.repeated,
      rows.runs, name_of(resampling), problem.on_frontier ? "" : "; resample: cluster or wild keeps them together"));
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
  for (const Parameter& p : law.parameters) {
    if (p.unbounded.empty()) continue;
    const std::string sides = p.unbounded == "both" ? "on either side" : p.unbounded;
    warnings.push_back(
        fmt::format("{} = {:.4g} is not identified by these points: it is unbounded {}, as its 95 % interval "
                    "[{:.4g}, {:.4g}] reaches the end of what is possible",
                    p.name, p.value, sides, p.ci95_low, p.ci95_high));
  }
  for (size_t b = 1; b < law.basins.size(); ++b)
    if (law.basins[b].objective <= law.basins[0].objective * (1 + kNearlyAsGood))
      warnings.push_back(fmt::format("another minimum is nearly as good: objective {:.6g} against {:.6g}",
                                     law.basins[b].objective, law.basins[0].objective));
}

void warn_of_condition(const Problem& problem, const Sample& sample, const Linearised& linearised,
                       std::vector<std::string>& warnings) {
  if (!(linearised.condition > kIllConditioned)) return;
  const std::vector<Coordinate> coordinates = problem.form->coordinates(sample.logx);
  std::vector<std::string> names;
  for (int c : linearised.trading) names.push_back(coordinates[static_cast<size_t>(c)].name);
  warnings.push_back(
      fmt::format("these points determine {} only in combination (condition number {:.3g}): a change in one is made up "
                  "for by the others; predictions within the fitted range are sound all the same",
                  fmt::join(names, ", "), linearised.condition));
}

void warn_of_intervals(const Problem& problem, Intervals intervals, Resampling resampling,
                       std::vector<std::string>& warnings) {
  const size_t units = resampling_units(problem, resampling).size();
  if (intervals == Intervals::kBca && units < static_cast<size_t>(kPairsRuns))
    warnings.push_back(fmt::format(
        "bca: its correction for skewness rests on {} points; of so few, intervals hold the truth in 90 to 95 % of "
        "studies (bench/analysis/coverage.cc), those of profile and percentile in 95 %",
        units));
}

void warn_of_rivals(const Law& law, std::vector<std::string>& warnings) {
  for (const Rival& rival : law.rivals)
    warnings.push_back(
        fmt::format("{} describes these points {} (weight {:.2g}): prediction intervals hold both, in proportion",
                    rival.form, rival.weight > 0.5 ? "better" : "about as well", rival.weight));
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

/// A form fitted to the points, before anything is said of its uncertainty.
struct Fitted {
  Problem problem;
  Sample sample;
  std::vector<Optimum> optima;

  const Optimum& best() const { return optima.front(); }
};

absl::StatusOr<Fitted> search(const std::vector<Observation>& observations, const FitOptions& options) {
  absl::StatusOr<Problem> problem = make_problem(observations, options);
  if (!problem.ok()) return problem.status();
  Fitted fitted{*std::move(problem), {}, {}};
  fitted.sample = make_sample(fitted.problem.points, fitted.problem);
  fitted.optima = minimise(*fitted.problem.form, fitted.sample, fitted.problem.criterion);
  if (fitted.optima.empty())
    return absl::FailedPreconditionError(
        fmt::format("form '{}' cannot describe these values of {}", fitted.problem.form->name(), options.metric));
  return fitted;
}

/// The rivals that can be fitted to the same points under the same criterion. Those that were named must be.
absl::StatusOr<std::vector<Fitted>> search_rivals(const std::vector<Observation>& observations,
                                                  const FitOptions& options, const Problem& own) {
  const std::vector<std::string> names = options.rivals.value_or(usual_rivals(own.form->name()));
  FitOptions theirs = options;
  theirs.x = own.columns;
  theirs.residual = own.criterion.residual == Residual::kLog ? "log" : "raw";
  theirs.objective = name_of(own.criterion.penalty);
  theirs.huber_scale.reset();
  if (own.criterion.penalty == Penalty::kHuber) theirs.huber_delta = own.criterion.delta;
  theirs.points = own.on_frontier ? "frontier" : "all";
  theirs.fixed.clear();
  std::vector<Fitted> result;
  for (const std::string& name : names) {
    if (name == own.form->name()) continue;
    theirs.form = name;
    absl::StatusOr<Fitted> rival = search(observations, theirs);
    if (rival.ok())
      result.push_back(*std::move(rival));
    else if (options.rivals)
      return absl::Status(rival.status().code(),
                          fmt::format("rivals: '{}': {}", name, std::string(rival.status().message())));
  }
  return result;
}

LikelihoodScale scale_of(const Fitted& fitted) {
  return likelihood_scale(fitted.problem, linearise(fitted.problem, fitted.sample, fitted.best().coordinates),
                          estimate_noise(fitted.problem, fitted.sample, fitted.best()));
}

/// Weights of the law itself and of each rival.
std::vector<double> weigh(const Fitted& own, const std::vector<Fitted>& rivals) {
  const Fitted* richest = &own;
  std::vector<Contender> contenders;
  const auto enter = [&](const Fitted& fitted) {
    contenders.push_back({fitted.best().objective, static_cast<int>(fitted.best().coordinates.size())});
    if (fitted.best().coordinates.size() > richest->best().coordinates.size()) richest = &fitted;
  };
  enter(own);
  for (const Fitted& rival : rivals) enter(rival);
  return akaike_weights(contenders, scale_of(*richest).unit);
}

/// Fits the rivals' draws, as many as each one's weight stands for, and sets how many the law's own stand for.
absl::Status add_rivals(const std::vector<Observation>& observations, const FitOptions& options, const Fitted& own,
                        Resampling resampling, Law& law) {
  law.own_draws = static_cast<int>(law.draws.size());
  const absl::StatusOr<std::vector<Fitted>> rivals = search_rivals(observations, options, own.problem);
  if (!rivals.ok()) return rivals.status();
  if (rivals->empty()) return absl::OkStatus();
  const std::vector<double> weights = weigh(own, *rivals);
  const auto share = [&](double weight) {
    return static_cast<int>(std::lround(weight * static_cast<double>(options.bootstrap)));
  };
  law.own_draws = std::min(law.own_draws, share(weights[0]));
  for (size_t r = 0; r < rivals->size(); ++r) {
    const double weight = weights[r + 1];
    if (weight < kNoSay) continue;
    const auto& [problem, sample, optima] = (*rivals)[r];
    law.rivals.push_back({std::string(problem.form->name()),
                          problem.form->parameters(optima.front().coordinates.data(), problem.log_scale.data()), weight,
                          bootstrap(problem, sample, optima, estimate_noise(problem, sample, optima.front()),
                                    resampling, share(weight), options.seed, options.threads)});
  }
  return absl::OkStatus();
}

/// `broken-power-auto`: the number of breaks is chosen first, then that form fitted to all points.
absl::StatusOr<Law> fit_chosen_breaks(const std::vector<Observation>& observations, FitOptions options) {
  options.form = "broken-power";
  const absl::StatusOr<Problem> problem = make_problem(observations, options);
  if (!problem.ok()) return problem.status();
  const auto chosen = choose_breaks(make_sample(problem->points, *problem), problem->criterion);
  if (!chosen.ok()) return chosen.status();
  options.form = chosen->form;
  absl::StatusOr<Law> law = fit(observations, options);
  if (law.ok())
    law->warnings.push_back(fmt::format("{} chosen by the error beyond the fitted points; with 1, 2, … breaks: {:.4g}",
                                        chosen->form, fmt::join(chosen->held_out_rmse, ", ")));
  return law;
}

}  // namespace

double r_squared(const Law& law, const Form& form) {
  double mean = 0, about_curve = 0, about_mean = 0;
  for (const Point& p : law.points) mean += p.value / static_cast<double>(law.points.size());
  for (const Point& p : law.points) {
    about_curve += std::pow(p.value - form.value(law.basins[0].parameters.data(), p.x.data()), 2);
    about_mean += std::pow(p.value - mean, 2);
  }
  return about_mean > 0 ? 1 - about_curve / about_mean : 0;
}

absl::Status check_fit(const std::vector<Observation>& observations, const FitOptions& options) {
  return make_problem(observations, options).status();
}

absl::StatusOr<Law> fit(const std::vector<Observation>& observations, const FitOptions& options) {
  if (options.form == "broken-power-auto") return fit_chosen_breaks(observations, options);
  if (!split_chain(options.form).link.empty())
    return absl::InvalidArgumentError(
        fmt::format("form: '{}' is fitted in two stages, to losses and to scores (fit_chain)", options.form));
  const absl::StatusOr<Fitted> fitted = search(observations, options);
  if (!fitted.ok()) return fitted.status();
  const auto& [problem, sample, optima] = *fitted;
  const absl::StatusOr<Resampling> resampling = choose_resampling(options.resample, problem);
  if (!resampling.ok()) return resampling.status();
  const absl::StatusOr<Intervals> intervals = choose_intervals(options.intervals);
  if (!intervals.ok()) return intervals.status();
  const Optimum& best = optima.front();
  const Noise noise = estimate_noise(problem, sample, best);
  const Linearised linearised = linearise(problem, sample, best.coordinates);
  const LikelihoodScale scale = likelihood_scale(problem, linearised, noise);

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
  law.draws = bootstrap(problem, sample, optima, noise, *resampling, options.bootstrap, options.seed, options.threads,
                        options.progress);
  law.resample = name_of(*resampling);
  law.intervals = name_of(*intervals);
  law.sigma = noise.sigma;
  law.sigma_dof = noise.dof;
  law.parameters =
      describe_parameters({problem, sample, optima, linearised, scale, law.draws, *resampling, options.threads},
                          options.fixed, *intervals, law.profiles);
  law.condition = linearised.condition;
  law.correlation = correlations(linearised, ParameterScale(problem, sample, best.coordinates), best.coordinates);
  law.formula = options.metric + " = " + problem.form->formula(law.basins[0].parameters.data(), problem.columns);
  law.points_kind = problem.on_frontier ? "frontier" : "all";
  law.observations_hash = options.observations_hash;
  law.code_version = options.code_version;
  describe_points(problem, law);
  law.r2 = r_squared(law, *problem.form);
  law.pearson_log = pearson_log(law);
  if (absl::Status status = add_rivals(observations, options, *fitted, *resampling, law); !status.ok()) return status;
  law.warnings = problem.warnings;
  warn_of_frontier(problem, law.warnings);
  warn_of_repeated_runs(problem, *resampling, law.warnings);
  warn_of_noise(problem, noise, law.warnings);
  if (std::string uneven = uneven_noise(problem, sample, linearised); !uneven.empty())
    law.warnings.push_back(std::move(uneven));
  warn_of_parameters(law, law.warnings);
  warn_of_condition(problem, sample, linearised, law.warnings);
  warn_of_intervals(problem, *intervals, *resampling, law.warnings);
  warn_of_rivals(law, law.warnings);
  return law;
}

}  // namespace scalelaw::analysis
