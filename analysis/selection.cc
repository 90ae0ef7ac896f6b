#include "analysis/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "absl/status/status.h"
#include "analysis/form.h"
#include "analysis/frontier.h"
#include "analysis/parallel.h"
#include "analysis/predictor.h"
#include "analysis/problem.h"

namespace scalelaw::analysis {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int kFewestDraws = 50;
constexpr std::array kFactorEdges = {1.0, 3.0, 10.0, 30.0, 100.0, kInfinity};
/// Standard errors of a difference within which two forms are not told apart.
constexpr double kSurvives = 2;
constexpr int kFewHeldOut = 5;
/// Rows of by_factor are flagged where fewer of at least so many held-out points are covered.
constexpr int kEnoughForCoverage = 10;
constexpr double kLowCoverage = 0.8;

/// A point to be predicted: a size of the frontier or one observation.
struct Target {
  std::map<std::string, double> x;
  double by = 0;
  double value = 0;
  std::vector<std::string> runs;
};

absl::Status check(const std::vector<FitOptions>& candidates, const SelectionOptions& options) {
  if (candidates.empty()) return absl::InvalidArgumentError("candidates: none given");
  for (size_t c = 1; c < candidates.size(); ++c)
    if (candidates[c].min_flops != candidates[0].min_flops || candidates[c].max_flops != candidates[0].max_flops ||
        candidates[c].metric != candidates[0].metric)
      return absl::InvalidArgumentError(
          fmt::format("candidates[{}]: metric, min_flops and max_flops must be those of the others: all are judged by "
                      "the same runs",
                      c));
  for (double factor : options.factors)
    if (!(factor > 1) || !std::isfinite(factor))
      return absl::InvalidArgumentError(fmt::format("factors: must be above 1, not {}", factor));
  if (options.bootstrap < 0 || options.bootstrap > kMaxBootstrap)
    return absl::InvalidArgumentError(
        fmt::format("bootstrap: must be between 0 and {}, not {}", kMaxBootstrap, options.bootstrap));
  return absl::OkStatus();
}

absl::StatusOr<std::string> resolve_by(const std::vector<Observation>& observations,
                                       const std::vector<Problem>& problems, const SelectionOptions& options) {
  const auto everywhere = [&](const std::string& column) {
    return std::all_of(observations.begin(), observations.end(), [&](const Observation& o) {
      const double value = column_value(o, column);
      return value > 0 && std::isfinite(value);
    });
  };
  if (!options.by.empty()) {
    if (everywhere(options.by)) return options.by;
    return absl::InvalidArgumentError(
        fmt::format("by: not every observation has a positive value in column '{}'", options.by));
  }
  if (everywhere("flops")) return std::string("flops");
  for (const Problem& problem : problems)
    if (problem.columns.size() != 1 || problem.columns != problems.front().columns)
      return absl::InvalidArgumentError("by: name the column to extrapolate in: not every observation has flops");
  return problems.front().columns[0];
}

std::vector<Target> make_targets(const std::vector<Problem>& problems, const std::string& by) {
  const auto on_frontier = [](const Problem& problem) { return problem.on_frontier; };
  const auto found = std::find_if(problems.begin(), problems.end(), on_frontier);
  const Problem& problem = found == problems.end() ? problems.front() : *found;
  std::vector<Target> targets;
  for (const Cell& point : problem.points) {
    Target target;
    for (const Problem& p : problems)
      for (const std::string& column : p.columns) target.x[column] = column_value(problem, point, column);
    target.by = column_value(problem, point, by);
    target.value = point.value;
    for (int m : point.members) target.runs.push_back(problem.observations[m].run);
    targets.push_back(std::move(target));
  }
  return targets;
}

/// ln of the density that a law's draws give to a value: the mean over draws of the noise's normal density about each.
double log_density(const Law& law, const Form& form, const std::vector<double>& x, double value) {
  const bool log = law.objective.residual == "log";
  double best = -kInfinity;
  std::vector<double> terms;
  for (const Draw& draw : law.draws) {
    const double curve = form.value(draw.parameters.data(), x.data());
    const double sigma = std::max(draw.sigma, 1e-12 * std::abs(value));
    const double z = (log ? std::log(value / curve) : value - curve) / sigma;
    const double term = -0.5 * z * z - std::log(sigma * (log ? value : 1) * std::sqrt(2 * std::numbers::pi));
    terms.push_back(std::isfinite(term) ? term : -kInfinity);
    best = std::max(best, terms.back());
  }
  if (!std::isfinite(best)) return -kInfinity;
  double sum = 0;
  for (double term : terms) sum += std::exp(term - best);
  return best + std::log(sum / static_cast<double>(terms.size()));
}

/// One candidate on one split.
struct Trial {
  std::string failure;
  std::string form;
  /// Of the targets beyond the cut, with each one's number and ln of the density that the law gives it.
  std::vector<HeldOut> held_out;
  std::vector<int> target;
  std::vector<double> log_density;
};

Trial try_split(const std::vector<Observation>& observations, const std::vector<Target>& targets, const Split& split,
                int split_index, const std::string& by, const FitOptions& candidate) {
  std::vector<Observation> below;
  double largest = 0;
  for (const Observation& o : observations)
    if (column_value(o, by) <= split.threshold) {
      below.push_back(o);
      largest = std::max(largest, column_value(o, by));
    }
  Trial trial;
  const absl::StatusOr<Law> law = fit(below, candidate);
  if (!law.ok()) {
    trial.failure = std::string(law.status().message());
    return trial;
  }
  trial.form = law->form;
  const Predictor predictor(*law);
  const std::unique_ptr<const Form> form = form_of(*law);
  for (size_t t = 0; t < targets.size(); ++t) {
    const Target& target = targets[t];
    if (target.by <= split.threshold) continue;
    std::map<std::string, double> at;
    std::vector<double> x;
    for (const std::string& column : law->x) {
      at[column] = target.x.at(column);
      x.push_back(at[column]);
    }
    const absl::StatusOr<Prediction> prediction = predictor.predict(at);
    if (!prediction.ok() || !(prediction->value > 0) || !std::isfinite(prediction->value)) {
      trial.failure = prediction.ok() ? fmt::format("predicts {} at {} = {:.4g}", prediction->value, by, target.by)
                                      : std::string(prediction.status().message());
      return trial;
    }
    HeldOut row{split_index,  target.by / largest, target.runs,
                target.value, prediction->value,   std::log(prediction->value / target.value),
                std::nullopt};
    if (!law->draws.empty()) row.covered95 = prediction->low95 <= target.value && target.value <= prediction->high95;
    trial.held_out.push_back(std::move(row));
    trial.target.push_back(static_cast<int>(t));
    trial.log_density.push_back(law->draws.empty() ? -kInfinity : log_density(*law, *form, x, target.value));
  }
  return trial;
}

double coverage(const std::vector<HeldOut>& rows) {
  double covered = 0, known = 0;
  for (const HeldOut& row : rows) {
    known += row.covered95.has_value();
    covered += row.covered95.value_or(false);
  }
  return known > 0 ? covered / known : kNaN;
}

std::vector<FactorError> errors_by_factor(const std::vector<HeldOut>& held_out) {
  std::vector<FactorError> result;
  for (size_t e = 0; e + 1 < kFactorEdges.size(); ++e) {
    FactorError bin{kFactorEdges[e], kFactorEdges[e + 1], 0, 0, 0, 0};
    std::vector<HeldOut> rows;
    for (const HeldOut& row : held_out)
      if (row.factor >= bin.low && row.factor < bin.high) rows.push_back(row);
    if (rows.empty()) continue;
    bin.count = static_cast<int>(rows.size());
    for (const HeldOut& row : rows) {
      bin.error += std::abs(row.log_error) / bin.count;
      bin.bias += row.log_error / bin.count;
    }
    bin.coverage95 = coverage(rows);
    result.push_back(bin);
  }
  return result;
}

/// Weights π ≥ 0 with Σπ = 1 that maximise Σ_i w_i·ln Σ_k π_k·p_ik, by expectation and maximisation: every step keeps
/// them on the simplex and raises the sum, which is concave.
std::vector<double> stacking_weights(const std::vector<std::vector<double>>& log_densities,
                                     const std::vector<double>& row_weights) {
  constexpr int kSteps = 5000;
  const size_t forms = log_densities.size(), rows = row_weights.size();
  std::vector<double> weights(forms, 1.0 / static_cast<double>(forms));
  for (int step = 0; step < kSteps; ++step) {
    std::vector<double> next(forms, 0);
    double total = 0;
    for (size_t i = 0; i < rows; ++i) {
      double best = -kInfinity;
      for (size_t k = 0; k < forms; ++k) best = std::max(best, log_densities[k][i]);
      if (!std::isfinite(best)) continue;
      double mixture = 0;
      for (size_t k = 0; k < forms; ++k) mixture += weights[k] * std::exp(log_densities[k][i] - best);
      // A row that only forms of no weight explain has nothing to say.
      if (!(mixture > 0)) continue;
      for (size_t k = 0; k < forms; ++k)
        next[k] += row_weights[i] * weights[k] * std::exp(log_densities[k][i] - best) / mixture;
      total += row_weights[i];
    }
    if (!(total > 0)) return weights;
    double change = 0;
    for (size_t k = 0; k < forms; ++k) {
      next[k] /= total;
      change = std::max(change, std::abs(next[k] - weights[k]));
    }
    weights = std::move(next);
    if (change < 1e-9) break;
  }
  return weights;
}

/// All candidates on all splits, and which of them the ranking rests on.
struct Table {
  std::vector<std::vector<Trial>> trials;  // candidate, split
  std::vector<bool> ranked;                // by candidate
  std::vector<int> splits;                 // those that all ranked candidates managed

  /// Of one held-out row among so many of its split.
  double row_weight(size_t rows) const { return 1 / (static_cast<double>(splits.size()) * static_cast<double>(rows)); }
};

/// Every ranked candidate's mean |log error| by target, weighted so that each split counts the same.
std::vector<double> errors_by_target(const Table& table, int candidate, size_t targets) {
  std::vector<double> errors(targets, 0);
  for (int s : table.splits) {
    const Trial& trial = table.trials[candidate][s];
    for (size_t i = 0; i < trial.held_out.size(); ++i)
      errors[trial.target[i]] += table.row_weight(trial.held_out.size()) * std::abs(trial.held_out[i].log_error);
  }
  return errors;
}

/// Sum of paired differences by target, and its standard error over targets.
void set_excess(const std::vector<double>& errors, const std::vector<double>& best, const std::vector<bool>& held_out,
                RankedForm& form) {
  double sum = 0, squares = 0, n = 0;
  for (size_t t = 0; t < errors.size(); ++t) {
    if (!held_out[t]) continue;
    const double difference = errors[t] - best[t];
    sum += difference;
    squares += difference * difference;
    ++n;
  }
  form.excess = sum;
  form.excess_se = n > 1 ? std::sqrt(std::max(0.0, squares - sum * sum / n) * n / (n - 1)) : kInfinity;
  form.survives = form.excess <= kSurvives * form.excess_se;
}

void set_weights(const Table& table, std::vector<RankedForm>& ranking) {
  std::vector<std::vector<double>> densities;
  std::vector<double> row_weights;
  std::vector<RankedForm*> stacked;
  for (RankedForm& form : ranking) {
    form.weight = 0;
    if (!form.survives) continue;
    stacked.push_back(&form);
    std::vector<double> own, weights;
    for (int s : table.splits) {
      const Trial& trial = table.trials[form.candidate][s];
      own.insert(own.end(), trial.log_density.begin(), trial.log_density.end());
      weights.insert(weights.end(), trial.held_out.size(), table.row_weight(trial.held_out.size()));
    }
    densities.push_back(std::move(own));
    row_weights = std::move(weights);
  }
  const std::vector<double> weights = stacking_weights(densities, row_weights);
  for (size_t k = 0; k < stacked.size(); ++k) stacked[k]->weight = weights[k];
}

/// Splits the data at C_max/k; a factor that would hold out the same as a smaller one is left out.
std::vector<Split> make_splits(const std::vector<Observation>& observations, const std::vector<Target>& targets,
                               const std::string& by, const SelectionOptions& options, Selection& result) {
  double largest = 0;
  for (const Target& target : targets) largest = std::max(largest, target.by);
  std::vector<double> factors = options.factors;
  std::sort(factors.begin(), factors.end());
  factors.erase(std::unique(factors.begin(), factors.end()), factors.end());
  std::vector<Split> splits;
  for (double k : factors) {
    Split split{k, largest / k * (1 + 1e-9), 0, 0};
    for (const Observation& o : observations) split.fitted += column_value(o, by) <= split.threshold;
    for (const Target& target : targets) split.held_out += target.by > split.threshold;
    if (split.fitted == 0)
      result.skipped.push_back(fmt::format("k = {:g}: nothing lies below {} = {:.4g}", k, by, split.threshold));
    else if (!splits.empty() && splits.back().fitted == split.fitted)
      result.skipped.push_back(fmt::format("k = {:g}: the same runs as k = {:g}", k, splits.back().k));
    else
      splits.push_back(split);
  }
  return splits;
}

Table run_trials(const std::vector<Observation>& observations, const std::vector<FitOptions>& candidates,
                 const std::vector<Target>& targets, const std::vector<Split>& splits, const std::string& by,
                 const SelectionOptions& options) {
  Table table;
  table.trials.assign(candidates.size(), std::vector<Trial>(splits.size()));
  const int tasks = static_cast<int>(candidates.size() * splits.size());
  parallel_for(tasks, options.threads, [&](int task) {
    const size_t c = static_cast<size_t>(task) % candidates.size(), s = static_cast<size_t>(task) / candidates.size();
    FitOptions candidate = candidates[c];
    candidate.bootstrap = options.bootstrap;
    candidate.threads = 1;
    table.trials[c][s] = try_split(observations, targets, splits[s], static_cast<int>(s), by, candidate);
  });
  return table;
}

/// The targets beyond any cut that the ranking rests on.
std::vector<bool> held_out_targets(const Selection& selection, const std::vector<Target>& targets, const Table& table) {
  std::vector<bool> held_out(targets.size(), false);
  for (int s : table.splits)
    for (size_t t = 0; t < targets.size(); ++t)
      if (targets[t].by > selection.splits[s].threshold) held_out[t] = true;
  return held_out;
}

/// Sets which candidates and splits the ranking rests on.
absl::Status choose_splits(const Selection& selection, Table& table) {
  // Ranked are those that can be fitted where most is known; the splits are those that all of them can.
  int first = -1;
  for (size_t s = 0; s < selection.splits.size() && first < 0; ++s)
    for (size_t c = 0; c < table.trials.size(); ++c)
      if (table.trials[c][s].failure.empty()) first = static_cast<int>(s);
  if (first < 0) {
    std::string why = fmt::format("{}", fmt::join(selection.skipped, "; "));
    if (!selection.splits.empty()) why = table.trials[0][0].failure;
    return absl::FailedPreconditionError(
        fmt::format("no form can be judged by extrapolation: nothing can be fitted below any of the cuts ({})", why));
  }
  for (size_t c = 0; c < table.trials.size(); ++c) table.ranked.push_back(table.trials[c][first].failure.empty());
  for (size_t s = 0; s < selection.splits.size(); ++s) {
    bool everywhere = true;
    for (size_t c = 0; c < table.trials.size(); ++c)
      everywhere = everywhere && (!table.ranked[c] || table.trials[c][s].failure.empty());
    if (everywhere) table.splits.push_back(static_cast<int>(s));
  }
  return absl::OkStatus();
}

void rank(const std::vector<Problem>& problems, const std::vector<Target>& targets, const Table& table,
          Selection& selection) {
  const std::vector<bool> held_out = held_out_targets(selection, targets, table);
  std::vector<std::vector<double>> errors;
  for (size_t c = 0; c < problems.size(); ++c) {
    RankedForm form;
    form.candidate = static_cast<int>(c);
    form.form = problems[c].form->name();
    form.x = problems[c].columns;
    form.error = kInfinity;
    form.excess = kInfinity;
    for (size_t s = 0; s < selection.splits.size(); ++s) {
      const Trial& trial = table.trials[c][s];
      form.failures.push_back(trial.failure);
      if (trial.failure.empty())
        form.held_out.insert(form.held_out.end(), trial.held_out.begin(), trial.held_out.end());
    }
    form.by_factor = errors_by_factor(form.held_out);
    errors.push_back(errors_by_target(table, static_cast<int>(c), targets.size()));
    if (table.ranked[c]) {
      form.error = 0;
      for (double e : errors[c]) form.error += e;
      std::vector<HeldOut> rows;
      for (int s : table.splits) {
        const std::vector<HeldOut>& of_split = table.trials[c][s].held_out;
        for (const HeldOut& row : of_split) form.bias += table.row_weight(of_split.size()) * row.log_error;
        rows.insert(rows.end(), of_split.begin(), of_split.end());
      }
      form.coverage95 = coverage(rows);
    }
    selection.ranking.push_back(std::move(form));
  }
  std::stable_sort(selection.ranking.begin(), selection.ranking.end(),
                   [](const RankedForm& a, const RankedForm& b) { return a.error < b.error; });
  const std::vector<double>& best = errors[selection.ranking[0].candidate];
  for (RankedForm& form : selection.ranking)
    if (table.ranked[form.candidate]) set_excess(errors[form.candidate], best, held_out, form);
}

void warn(const Selection& selection, const std::vector<Target>& targets, const Table& table,
          std::vector<std::string>& warnings) {
  const std::vector<bool> judged = held_out_targets(selection, targets, table);
  const auto held_out = std::count(judged.begin(), judged.end(), true);
  if (held_out < kFewHeldOut)
    warnings.push_back(
        fmt::format("the ranking rests on {} held-out point(s): more runs at large compute would tell "
                    "the forms apart",
                    held_out));
  for (const RankedForm& form : selection.ranking)
    for (const FactorError& bin : form.by_factor)
      if (form.survives && bin.count >= kEnoughForCoverage && bin.coverage95 < kLowCoverage)
        warnings.push_back(
            fmt::format("{}: 95 % intervals held {:.0f} % of {} runs {:g} to {:g} times beyond the fit: "
                        "they are too narrow there",
                        form.form, 100 * bin.coverage95, bin.count, bin.low, bin.high));
}

}  // namespace

absl::StatusOr<Selection> select_form(const std::vector<Observation>& all, const std::vector<FitOptions>& candidates,
                                      const SelectionOptions& options) {
  if (absl::Status status = check(candidates, options); !status.ok()) return status;
  std::vector<Observation> observations;
  for (const Observation& o : all)
    if (within_flops(candidates[0], o.flops)) observations.push_back(o);
  std::vector<Problem> problems;
  for (size_t c = 0; c < candidates.size(); ++c) {
    absl::StatusOr<Problem> problem = make_problem(observations, candidates[c]);
    if (!problem.ok())
      return absl::Status(problem.status().code(),
                          fmt::format("candidates[{}]: {}", c, std::string(problem.status().message())));
    problems.push_back(*std::move(problem));
  }
  const absl::StatusOr<std::string> by = resolve_by(observations, problems, options);
  if (!by.ok()) return by.status();
  const std::vector<Target> targets = make_targets(problems, *by);
  for (const Target& target : targets)
    if (!(target.value > 0))
      return absl::InvalidArgumentError(
          fmt::format("run {}: {} = {}: errors are taken in logs and need positive values", target.runs[0],
                      candidates[0].metric, target.value));

  Selection result;
  result.by = *by;
  result.splits = make_splits(observations, targets, *by, options, result);
  Table table = run_trials(observations, candidates, targets, result.splits, *by, options);

  if (absl::Status status = choose_splits(result, table); !status.ok()) return status;
  rank(problems, targets, table, result);
  if (options.bootstrap >= kFewestDraws)
    set_weights(table, result.ranking);
  else
    for (RankedForm& form : result.ranking) form.weight = kNaN;
  warn(result, targets, table, result.warnings);
  return result;
}

}  // namespace scalelaw::analysis
