#include "analysis/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "absl/status/status.h"
#include "analysis/expression.h"
#include "analysis/expression_form.h"
#include "analysis/hygiene.h"
#include "analysis/pinned.h"

namespace scalelaw::analysis {
namespace {

/// How far a score may lie outside its bounds, as a share of their distance: noise of a model that guesses, or of one
/// that draws more clearly than photographs are. Beyond that the bounds are wrong.
constexpr double kBelowChance = 0.25;
constexpr double kAboveCeiling = 0.10;

/// The columns that any of the observations has.
std::vector<std::string> known_columns(const std::vector<Observation>& observations) {
  std::set<std::string> further;
  for (const Observation& o : observations) {
    for (const auto& [name, value] : o.columns) further.insert(name);
    if (o.params > 0 && o.samples > 0) further.insert("tokens_per_param");
  }
  std::vector<std::string> names = {"flops", "params", "samples"};
  names.insert(names.end(), further.begin(), further.end());
  return names;
}

/// Whether values grow with compute. Where nobody says whether a metric is a loss or a score, what compute does to it
/// does: more of it makes models better.
bool rises(const std::vector<Observation>& observations) {
  double mean_x = 0, mean_y = 0, covariance = 0;
  int n = 0;
  for (const Observation& o : observations) {
    if (!(o.flops > 0)) continue;
    ++n;
    mean_x += (std::log(o.flops) - mean_x) / n;
    mean_y += (o.value - mean_y) / n;
  }
  for (const Observation& o : observations)
    if (o.flops > 0) covariance += (std::log(o.flops) - mean_x) * (o.value - mean_y);
  return covariance > 0;
}

std::string default_form(const FitOptions& options, const Problem& problem) {
  if (options.x.size() == 2) return "chinchilla";
  if (options.chance && options.ceiling) return "bounded";
  return problem.better == Better::kHigher ? "power" : "power-floor";
}

/// What an expression is of where the caller does not say: its names that are columns.
std::vector<std::string> columns_in(const std::string& form, const std::vector<std::string>& known) {
  std::vector<std::string> columns;
  const absl::StatusOr<Expression> expression = parse_expression(form);
  if (!expression.ok()) return columns;
  for (const std::string& name : names(*expression))
    for (const std::string& column : {name, column_name(name)})
      if (std::find(known.begin(), known.end(), column) != known.end()) {
        if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
        break;
      }
  return columns;
}

/// Why there is no form of this name: whoever writes an operator means an expression.
absl::Status no_form(const std::string& name, const std::vector<std::string>& columns) {
  const bool expression = name.find_first_of("+*/^() ") != name.npos;
  if (expression)
    return absl::InvalidArgumentError(
        fmt::format("form: {}", std::string(ExpressionForm::make(name, columns).status().message())));
  return absl::InvalidArgumentError(
      fmt::format("form: '{}' is unknown; known forms: {}; or write an expression such as 'E + A*N^-alpha + B*D^-beta'",
                  name, fmt::join(form_names(), ", ")));
}

absl::Status resolve_form(const FitOptions& options, Problem& problem) {
  const bool has_bounds = options.chance && options.ceiling;
  if (options.chance.has_value() != options.ceiling.has_value())
    return absl::InvalidArgumentError("chance and ceiling: give both or neither");
  if (has_bounds && !(*options.ceiling > *options.chance))
    return absl::InvalidArgumentError(
        fmt::format("ceiling: must be above chance ({}), not {}", *options.chance, *options.ceiling));
  problem.better = has_bounds || rises(problem.observations) ? Better::kHigher : Better::kLower;
  const std::string name = !options.form.empty() ? options.form : default_form(options, problem);
  const std::vector<std::string> columns =
      !options.x.empty() ? options.x : columns_in(name, known_columns(problem.observations));
  problem.form = make_form(name, has_bounds ? Bounds{*options.chance, *options.ceiling} : Bounds{}, columns);
  if (!problem.form) return no_form(name, columns);
  if (problem.form->bounded() && !has_bounds)
    return absl::InvalidArgumentError(
        fmt::format("form: '{}' needs the score's chance and ceiling; give them, or have the trainer report "
                    "{}_chance and {}_ceiling",
                    name, options.metric, options.metric));
  return absl::OkStatus();
}

absl::Status resolve_columns(const FitOptions& options, Problem& problem) {
  problem.columns = options.x.empty() ? problem.form->default_columns() : options.x;
  if (problem.columns.size() != problem.form->default_columns().size())
    return absl::InvalidArgumentError(fmt::format("x: form '{}' is a law of {} column(s), but {} were given ({})",
                                                  problem.form->name(), problem.form->default_columns().size(),
                                                  problem.columns.size(), fmt::join(problem.columns, ", ")));
  const std::vector<std::string> known = known_columns(problem.observations);
  for (const std::string& column : problem.columns)
    if (std::find(known.begin(), known.end(), column) == known.end())
      return absl::InvalidArgumentError(fmt::format("x: no column '{}'; columns: {}", column, fmt::join(known, ", ")));
  return absl::OkStatus();
}

absl::Status resolve_criterion(const FitOptions& options, Problem& problem) {
  const std::string residual =
      !options.residual.empty() ? options.residual : std::string(problem.form->default_residual());
  if (residual != "raw" && residual != "log")
    return absl::InvalidArgumentError(fmt::format("residual: '{}' is unknown; known: raw, log", residual));
  const std::string kind =
      !options.objective.empty() ? options.objective : std::string(problem.form->default_objective());
  if (kind != "l2" && kind != "huber" && kind != "lad")
    return absl::InvalidArgumentError(fmt::format("objective: '{}' is unknown; known: l2, huber, lad", kind));
  problem.criterion.residual = residual == "raw" ? Residual::kRaw : Residual::kLog;
  problem.criterion.penalty = kind == "l2" ? Penalty::kL2 : kind == "huber" ? Penalty::kHuber : Penalty::kLad;
  if (options.huber_scale && (kind != "huber" || options.huber_delta))
    return absl::InvalidArgumentError(fmt::format(
        "huber_scale: {}", kind != "huber" ? "is for objective huber only" : "give it or huber_delta, not both"));
  if (options.huber_scale && !(*options.huber_scale > 0 && std::isfinite(*options.huber_scale)))
    return absl::InvalidArgumentError(fmt::format("huber_scale: must be positive, not {}", *options.huber_scale));
  if (kind == "huber") {
    problem.criterion.delta = options.huber_delta.value_or(1e-3);
    if (!(problem.criterion.delta > 0) || !std::isfinite(problem.criterion.delta))
      return absl::InvalidArgumentError(fmt::format("huber_delta: must be positive, not {}", problem.criterion.delta));
  }
  return absl::OkStatus();
}

absl::Status check_values(const FitOptions& options, Problem& problem) {
  const bool log = problem.criterion.residual == Residual::kLog;
  std::vector<std::string> needed = problem.columns;
  // A frontier sorts the runs by budget and size.
  if (problem.on_frontier) needed = {"flops", "params"};
  int outside = 0;
  for (const Observation& o : problem.observations) {
    for (const std::string& column : needed)
      if (const double value = column_value(o, column); !(value > 0) || !std::isfinite(value))
        return absl::InvalidArgumentError(
            fmt::format("run {}: {} must be positive and finite, not {}", o.run, column, value));
    if (!(o.weight >= 0) || !std::isfinite(o.weight))
      return absl::InvalidArgumentError(
          fmt::format("run {}: weight must be finite and not negative, not {}", o.run, o.weight));
    if (!std::isfinite(o.value))
      return absl::InvalidArgumentError(fmt::format("run {}: {} is {}", o.run, options.metric, o.value));
    if (log && o.value <= 0)
      return absl::InvalidArgumentError(
          fmt::format("run {}: {} must be positive for residuals in logs, not {}", o.run, options.metric, o.value));
    if (!options.chance) continue;
    const double range = *options.ceiling - *options.chance;
    if (o.value < *options.chance - kBelowChance * range || o.value > *options.ceiling + kAboveCeiling * range)
      return absl::InvalidArgumentError(fmt::format("run {}: {} = {} lies far outside its bounds [{}, {}]", o.run,
                                                    options.metric, o.value, *options.chance, *options.ceiling));
    outside += o.value < *options.chance || o.value > *options.ceiling;
  }
  if (outside > 0)
    problem.warnings.push_back(fmt::format("{} of {} scores lie outside [chance, ceiling] = [{:.4g}, {:.4g}] by noise",
                                           outside, problem.observations.size(), *options.chance, *options.ceiling));
  return absl::OkStatus();
}

void take_points(Problem& problem) {
  if (problem.on_frontier) {
    problem.cells = cells(problem.observations);
    problem.points = frontier(problem.observations, problem.better);
    return;
  }
  for (size_t i = 0; i < problem.observations.size(); ++i) {
    const Observation& o = problem.observations[i];
    problem.cells.push_back({o.budget_flops, o.params, o.samples, o.flops, o.value, {static_cast<int>(i)}});
  }
  problem.points = problem.cells;
}

/// A floor costs a parameter: three points carry a power law only.
absl::Status check_count(const FitOptions& options, Problem& problem) {
  const auto count = [&] {
    const std::vector<std::string> names = problem.form->parameter_names();
    return static_cast<int>(
        std::count_if(names.begin(), names.end(), [&](const auto& name) { return !options.fixed.contains(name); }));
  };
  const int points = static_cast<int>(problem.points.size());
  if (options.form.empty() && problem.form->name() == "power-floor" && points == count()) {
    problem.warnings.push_back(
        fmt::format("{} points cannot carry a floor (that needs {}): fitted as power, which has none; a prediction far "
                    "beyond the points is too low if there is one",
                    points, count() + 1));
    problem.form = make_form("power", {});
  }
  if (points < count() + 1)
    return absl::FailedPreconditionError(
        fmt::format("too few points: {} {}, but form '{}' has {} {}parameters and needs at least {}", points,
                    problem.on_frontier ? "on the compute frontier (one per budget)" : "observations",
                    problem.form->name(), count(), options.fixed.empty() ? "" : "free ", count() + 1));
  return absl::OkStatus();
}

absl::Status check_variation(Problem& problem) {
  for (const std::string& column : problem.columns) {
    std::vector<double> values;
    for (const Cell& point : problem.points) values.push_back(column_value(problem, point, column));
    std::sort(values.begin(), values.end());
    if (values.back() <= values.front() * (1 + 1e-9))
      return absl::FailedPreconditionError(
          fmt::format("x: every point has {} = {}; a law of {} needs points at several values of it", column,
                      values.front(), column));
    double log_mean = 0;
    for (double value : values) log_mean += std::log(value) / static_cast<double>(values.size());
    problem.log_scale.push_back(log_mean);
  }
  problem.form->choose_units(problem.log_scale);
  return absl::OkStatus();
}

/// A surface of columns that move together is a curve: what one column does cannot be told from the other's.
absl::Status check_design(const FitOptions& options, Problem& problem) {
  constexpr double kOneCurve = 0.99, kNearlyOneCurve = 0.9;
  for (size_t a = 0; a < problem.columns.size(); ++a)
    for (size_t b = a + 1; b < problem.columns.size(); ++b) {
      std::map<double, std::set<double>> partners;
      double aa = 0, ab = 0, bb = 0;
      for (const Cell& point : problem.points) {
        const double x = column_value(problem, point, problem.columns[a]);
        const double y = column_value(problem, point, problem.columns[b]);
        const double dx = std::log(x) - problem.log_scale[a], dy = std::log(y) - problem.log_scale[b];
        // Seeds of one size differ by rounding to whole steps.
        partners[std::round(1000 * std::log(x))].insert(std::round(1000 * std::log(y)));
        aa += dx * dx;
        ab += dx * dy;
        bb += dy * dy;
      }
      const bool one_each =
          std::all_of(partners.begin(), partners.end(), [](const auto& of_one) { return of_one.second.size() == 1; });
      const double correlation = std::abs(ab) / std::sqrt(aa * bb);
      if (!one_each || correlation < kNearlyOneCurve) continue;
      const std::string what = fmt::format(
          "every {} has one {} only (about {}^{:.2f}): a law of both is not identified; it needs runs of one {} at "
          "several {}",
          problem.columns[a], problem.columns[b], problem.columns[a], ab / aa, problem.columns[a], problem.columns[b]);
      if (correlation >= kOneCurve && options.fixed.empty()) return absl::FailedPreconditionError("x: " + what);
      problem.warnings.push_back(what);
    }
  return absl::OkStatus();
}

absl::Status make_ready(const FitOptions& options, Problem& problem) {
  auto ready = problem.form->ready_for(make_sample(problem.points, problem).logx, problem.log_scale, options);
  if (!ready.ok()) return ready.status();
  if (*ready) problem.form = *std::move(ready);
  return absl::OkStatus();
}

absl::Status pin_parameters(const FitOptions& options, Problem& problem) {
  if (options.fixed.empty()) return absl::OkStatus();
  auto pinned = Pinned::make(std::move(problem.form), options.fixed, problem.log_scale);
  if (!pinned.ok()) return pinned.status();
  problem.form = *std::move(pinned);
  return absl::OkStatus();
}

/// δ in units of the noise: from residuals about a curve that outliers have little say in.
absl::Status scale_delta(const FitOptions& options, Problem& problem) {
  if (!options.huber_scale) return absl::OkStatus();
  const Sample sample = make_sample(problem.points, problem);
  const std::vector<Optimum> optima = minimise(*problem.form, sample, {problem.criterion.residual, Penalty::kLad, 0});
  if (optima.empty()) return absl::FailedPreconditionError("huber_scale: no curve of this form comes near the points");
  Workspace work;
  Eigen::VectorXd curve;
  problem.form->values(optima.front().coordinates.data(), sample.logx, work, curve);
  std::vector<double> size(problem.points.size());
  for (size_t i = 0; i < size.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    size[i] = std::abs(problem.criterion.residual_of(curve[row], sample.y[row]));
  }
  const auto middle = size.begin() + static_cast<std::ptrdiff_t>(size.size() / 2);
  std::nth_element(size.begin(), middle, size.end());
  // 1.4826: the standard deviation of a normal distribution in units of its median absolute deviation.
  problem.criterion.delta = *options.huber_scale * 1.4826 * *middle;
  if (!(problem.criterion.delta > 0))
    return absl::FailedPreconditionError(
        "huber_scale: most points lie on the curve exactly, so there is no noise to "
        "scale δ by; give huber_delta");
  return absl::OkStatus();
}

}  // namespace

std::string column_name(std::string_view symbol) {
  constexpr std::pair<std::string_view, std::string_view> kSymbols[] = {
      {"N", "params"}, {"D", "samples"}, {"C", "flops"}, {"U", "unique_samples"}, {"M", "tokens_per_param"}};
  for (const auto& [letter, column] : kSymbols)
    if (symbol == letter) return std::string(column);
  return std::string(symbol);
}

double column_value(const Observation& o, const std::string& column) {
  if (column == "flops") return o.flops;
  if (column == "params") return o.params;
  if (column == "samples") return o.samples;
  if (const auto found = o.columns.find(column); found != o.columns.end()) return found->second;
  return column == "tokens_per_param" && o.params > 0 ? o.samples / o.params : std::nan("");
}

double column_value(const Problem& problem, const Cell& cell, const std::string& column) {
  if (column == "flops") return cell.flops;
  if (column == "params") return cell.params;
  if (column == "samples") return cell.samples;
  // Seeds of one size differ by rounding only.
  return column_value(problem.observations[cell.members.front()], column);
}

Sample make_sample(const std::vector<Cell>& points, const Problem& problem) {
  Sample sample;
  const auto rows = static_cast<Eigen::Index>(points.size());
  const auto columns = static_cast<Eigen::Index>(problem.columns.size());
  sample.logx.resize(rows, columns);
  sample.y.resize(rows);
  sample.weight.setZero(rows);
  for (Eigen::Index i = 0; i < rows; ++i) {
    sample.y[i] = points[i].value;
    for (int m : points[i].members)
      sample.weight[i] += problem.observations[m].weight / static_cast<double>(points[i].members.size());
    for (Eigen::Index c = 0; c < columns; ++c)
      sample.logx(i, c) = std::log(column_value(problem, points[i], problem.columns[c])) - problem.log_scale[c];
  }
  return sample;
}

bool within_flops(const FitOptions& options, double flops) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  return !(flops < options.min_flops.value_or(-kNone)) && !(flops > options.max_flops.value_or(kNone));
}

absl::StatusOr<Problem> make_problem(const std::vector<Observation>& observations, const FitOptions& options) {
  Problem problem;
  for (const Observation& o : observations)
    if (within_flops(options, o.flops)) problem.observations.push_back(o);
  if (problem.observations.empty())
    return absl::FailedPreconditionError(
        observations.empty()
            ? fmt::format("no observations of {}: no run has finished with this metric", options.metric)
            : fmt::format("min_flops, max_flops: none of the {} observations lies between them", observations.size()));
  if (absl::Status status = resolve_form(options, problem); !status.ok()) return status;
  if (absl::Status status = resolve_columns(options, problem); !status.ok()) return status;
  if (absl::Status status = resolve_criterion(options, problem); !status.ok()) return status;
  if (options.bootstrap < 0 || options.bootstrap > kMaxBootstrap)
    return absl::InvalidArgumentError(
        fmt::format("bootstrap: must be between 0 and {}, not {}", kMaxBootstrap, options.bootstrap));
  if (!options.points.empty() && options.points != "frontier" && options.points != "all")
    return absl::InvalidArgumentError(fmt::format("points: '{}' is unknown; known: frontier, all", options.points));
  problem.on_frontier =
      options.points.empty() ? problem.columns == std::vector<std::string>{"flops"} : options.points == "frontier";
  if (absl::Status status = check_values(options, problem); !status.ok()) return status;
  take_points(problem);
  if (absl::Status status = check_count(options, problem); !status.ok()) return status;
  if (absl::Status status = check_variation(problem); !status.ok()) return status;
  if (absl::Status status = check_design(options, problem); !status.ok()) return status;
  for (std::string& warning : unit_warnings(problem.observations)) problem.warnings.push_back(std::move(warning));
  if (absl::Status status = make_ready(options, problem); !status.ok()) return status;
  if (absl::Status status = pin_parameters(options, problem); !status.ok()) return status;
  if (absl::Status status = scale_delta(options, problem); !status.ok()) return status;
  return problem;
}

}  // namespace scalelaw::analysis
