// The file to read first: what a scaling law is, how it is fitted to observations and how it predicts.
//
//   observations ──frontier()──▶ points ──fit()──▶ Law ──predict()──▶ value, 50 % and 95 % intervals
//
// Pure computation: no clock, no file, no socket. The same input gives the same output, bit for bit, for any number
// of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace scalelaw::analysis {

/// One run's measured value of one metric, with what was spent to get it.
struct Observation {
  /// The run that it belongs to: the unit that a bootstrap resamples.
  std::string run;
  /// N: backbone parameters. 0 where unknown.
  double params = 0;
  /// D: training samples seen. 0 where unknown.
  double samples = 0;
  /// C: training compute spent, FLOPs. 0 where unknown.
  double flops = 0;
  double value = 0;
  /// The budget that it was trained to, FLOPs: its level on an isoFLOP ladder. 0 where there was none.
  double budget_flops = 0;
  std::int64_t seed = 0;
  /// How much its residual counts.
  double weight = 1;
  /// Further columns that a law may be of, by name.
  std::map<std::string, double> columns;
};

/// Its `flops`, `params` or `samples`, or one of its further columns, of which `tokens_per_param` may be left out; NaN
/// where it has no such column.
double column_value(const Observation& observation, const std::string& column);

/// A column by the symbol that papers have for it: N is `params`, D `samples`, C `flops`, U `unique_samples`, M
/// `tokens_per_param`; any other name is itself.
std::string column_name(std::string_view symbol);

struct FitOptions {
  std::string metric = "loss";
  /// Columns among `flops`, `params`, `samples` and the observations' further ones, in the order of the form. Empty:
  /// the form's own (`flops` for a curve, `params`, `samples` for a surface).
  std::vector<std::string> x;
  /// A name among `form_names()`, or an expression of columns and parameters such as `E + A*N^-alpha + B*D^-beta` (see
  /// analysis/expression_form.h); the names in it that are columns are then what it is of, unless `x` says. Empty:
  /// `chinchilla` for two columns; `bounded` where chance and ceiling are given; `power` for another metric that rises
  /// with compute; else `power-floor`, or `power` with a warning where the points cannot carry a floor.
  /// `broken-power-auto` is the broken power law whose number of breaks extrapolates best (analysis/breaks.h).
  std::string form;
  /// `log`: ln ŷ − ln y, `raw`: ŷ − y. Empty: the form's own (`raw` for a bounded score, else `log`).
  std::string residual;
  /// `l2`: half the sum of squares, `huber`: r²/2 up to δ and δ(|r| − δ/2) beyond, `lad`: the sum of absolute values.
  /// Empty: the form's own (`huber` for chinchilla, else `l2`).
  std::string objective;
  /// In units of the residual. Default: 1e-3 (Hoffmann et al. 2022).
  std::optional<double> huber_delta;
  /// Instead of huber_delta: δ = huber_scale·σ, with σ = 1.4826·median |r| of a fit by least absolute deviation.
  std::optional<double> huber_scale;
  /// Parameters that are held at a value, in natural units, while the others are fitted: name → value.
  std::map<std::string, double> fixed;
  /// Of an expression: where to look for parameters, name → [low, high].
  std::map<std::string, std::pair<double, double>> search;
  /// Bounds of a score: its value by guessing, and what its scorer gives to real data.
  std::optional<double> chance;
  std::optional<double> ceiling;
  /// `frontier`: the best size of every budget, `all`: every observation. Empty: `frontier` for a law of `flops`
  /// alone, else `all`.
  std::string points;
  /// Only observations with at least `min_flops` (laws begin where the first plateau of training ends) and at most
  /// `max_flops`.
  std::optional<double> min_flops;
  std::optional<double> max_flops;
  /// Draws of the bootstrap; 0 for none (no intervals), at most kMaxBootstrap.
  int bootstrap = 1000;
  /// How a draw makes a replicate of the study: `pairs`, `cluster`, `residual`, `wild` or `model` (each described in
  /// analysis/bootstrap.h). Empty or `auto`: `model` on a frontier and for few points; `wild` for few runs with several
  /// rows each; `cluster` for many such runs; else `pairs`. Which one it was is in `Law::resample`.
  std::string resample;
  /// How a parameter's 95 % interval is found: `percentile` of the draws, `bca` (Efron 1987) or `profile` likelihood
  /// (analysis/intervals.h, analysis/profile.h). Empty: `percentile`.
  std::string intervals;
  /// Further forms of the same columns that the points may follow as well. Each is fitted too and takes a share of the
  /// prediction intervals by its Akaike weight (analysis/rivals.h). Without a value: the form's usual rivals, which is
  /// `power-floor` for a law without a floor; an empty list: none.
  std::optional<std::vector<std::string>> rivals;
  std::uint64_t seed = 0;
  /// 0: one per core. The result does not depend on it.
  int threads = 0;
  /// Called with the number of draws done so far, from any thread. The result does not depend on it.
  std::function<void(int draws)> progress;
  /// Carried into the law unchanged: provenance that only the caller knows.
  std::string observations_hash;
  std::string code_version;
};
inline constexpr int kMaxBootstrap = 100'000;

struct Parameter {
  std::string name;
  double value = 0;
  double se = 0;
  double ci95_low = 0;
  double ci95_high = 0;
  /// False where the observations do not determine it: its interval reaches a bound of the search.
  bool identified = true;
  /// Held at its value by `FitOptions::fixed`.
  bool fixed = false;
  /// The sides on which no value can be excluded: `above`, `below`, `both`, or empty.
  std::string unbounded;
};

/// What was minimised, and its value at the optimum: the sum over points, not the mean.
struct Objective {
  std::string kind;
  std::string residual;
  /// Huber's δ; 0 for the others.
  double delta = 0;
  double value = 0;
};

struct Range {
  std::string column;
  double low = 0;
  double high = 0;
};

/// One point that the law was fitted to: an observation, or the mean of one size's seeds on the frontier.
struct Point {
  /// In the order of `Law::x`.
  std::vector<double> x;
  double value = 0;
  /// Runs averaged into it.
  std::vector<std::string> runs;
};

/// A local minimum of the objective that the search found.
struct Basin {
  std::vector<double> parameters;
  double objective = 0;
};

/// One replicate of the fit by the bootstrap.
struct Draw {
  /// In the order of `Law::parameters`.
  std::vector<double> parameters;
  /// Standard deviation of one new measurement about the curve, in units of the residual (log or raw).
  double sigma = 0;
};

/// The objective along one parameter, minimised over all the others.
struct Profile {
  std::string parameter;
  struct At {
    double value = 0;
    /// 2·ΔlogL: twice the excess over the minimum, in units of the noise (0 at the fitted value).
    double statistic = 0;
  };
  /// By value.
  std::vector<At> curve;
  /// Values whose statistic exceeds this lie outside the 95 % interval.
  double critical = 0;
};

/// Another form that was fitted to the same points and may be right instead.
struct Rival {
  std::string form;
  /// In the order of the form's own parameters.
  std::vector<double> parameters;
  /// Its share of the prediction intervals.
  double weight = 0;
  /// As many as its share of the law's.
  std::vector<Draw> draws;
};

/// A fitted law. Immutable: to change anything is to fit another one.
struct Law {
  std::string metric;
  std::string form;
  /// Readable, with the fitted numbers.
  std::string formula;
  std::vector<std::string> x;
  Objective objective;
  std::vector<Parameter> parameters;
  std::optional<double> chance;
  std::optional<double> ceiling;
  /// Coefficient of determination of the raw values.
  double r2 = 0;
  /// Pearson correlation of ln x and ln y; 0 for a law of several columns.
  double pearson_log = 0;
  /// Noise of one measurement about the curve in units of the residual, and the degrees of freedom of that estimate.
  double sigma = 0;
  double sigma_dof = 0;
  std::vector<std::string> warnings;
  std::vector<Range> ranges;
  std::string points_kind;
  std::vector<Point> points;
  /// All local minima found, best first; the law is the first.
  std::vector<Basin> basins;
  std::vector<Draw> draws;
  /// How the draws and the intervals of the parameters were made: see `FitOptions`.
  std::string resample;
  std::string intervals;
  /// Correlations of the parameters' estimates, in the order of `parameters`; those that are positive by their nature
  /// count by their logarithm. 0 for one that is held or at a bound.
  std::vector<std::vector<double>> correlation;
  /// Condition number of the problem in units in which it is best conditioned (Belsley, Kuh and Welsch 1980): from
  /// about 1000 on, parameters are known only in combination.
  double condition = 0;
  /// One per parameter where `intervals` is `profile`.
  std::vector<Profile> profiles;
  /// The first `own_draws` draws and all those of the rivals make a prediction interval.
  int own_draws = 0;
  std::vector<Rival> rivals;
  std::string observations_hash;
  std::string code_version;
};

/// Whether an observation of so many FLOPs is within `min_flops` and `max_flops`.
bool within_flops(const FitOptions& options, double flops);

/// Fits a law to the observations of one metric of one study.
///
/// The optimum is global: exhaustive over the exponents with the linear parameters eliminated, every basin polished.
/// Intervals come from a bootstrap over runs in which the frontier is recomputed (see analysis/bootstrap.h).
/// Errors: INVALID_ARGUMENT naming the field for an unknown form, column, parameter, residual or objective (with those
/// that exist), for values that are not finite, not positive where logs are taken, or far outside a score's bounds;
/// FAILED_PRECONDITION for what the observations lack: too few points (how many there are, how many are needed),
/// a column without variation.
absl::StatusOr<Law> fit(const std::vector<Observation>& observations, const FitOptions& options);

/// What `fit` has against points and options before it searches.
absl::Status check_fit(const std::vector<Observation>& observations, const FitOptions& options);

/// Fits a chain (N, C, D) → loss → score, `form` = `LOSSFORM>sigmoid` or `LOSSFORM>exponential`, in its two stages: the
/// loss form to the losses, with the columns, residual, objective, points and bounds on flops of `options`; the link to
/// the scores by the losses measured at the same run, samples and flops, by least squares of raw residuals (Gadre et
/// al. 2024, section 3.3). The law predicts the score from the loss form's columns; objective and basins are those of
/// the score stage, noise is the scatter of the scores about the whole chain. Where runs or rows are drawn with
/// replacement, a draw takes the same ones for both stages; else the noise of both is replicated independently.
/// Errors: as `fit`, saying which stage; FAILED_PRECONDITION where a score has no loss.
absl::StatusOr<Law> fit_chain(const std::vector<Observation>& loss_observations,
                              const std::vector<Observation>& score_observations, const FitOptions& options);

/// A prediction for one new run.
struct Prediction {
  double value = 0;
  double low50 = 0;
  double high50 = 0;
  double low95 = 0;
  double high95 = 0;
  /// How far beyond the fitted range, as a factor ≥ 1 per column (1: inside), above it or below it.
  std::map<std::string, double> extrapolation;
  /// About this prediction; what is to be said of the law itself is among its own.
  std::vector<std::string> warnings;
};

/// Predicts the metric of one new run at x: the intervals hold the uncertainty of the parameters and the noise of a
/// measurement. The value stays within a score's bounds; the intervals, noise included, within [0, 1] where these are.
///
/// `at` must have a positive value for each of the law's columns.
/// Errors: INVALID_ARGUMENT naming the column that is missing, unknown or not positive.
absl::StatusOr<Prediction> predict(const Law& law, const std::map<std::string, double>& at);

/// The law's curve alone: the value at x, in the order of `Law::x`.
double evaluate(const Law& law, const std::vector<double>& x);

/// The law as a JSON document that holds everything `predict` needs, numbers at full precision: `from_json(to_json(l))`
/// predicts exactly as `l`. The format is described in docs/laws.md.
/// Errors of from_json: INVALID_ARGUMENT naming the field that is missing or wrong.
std::string to_json(const Law& law);
absl::StatusOr<Law> from_json(std::string_view text);

/// Names of the known forms, and what each one is (formula and source).
std::vector<std::string> form_names();
absl::StatusOr<std::string> describe_form(std::string_view name);

}  // namespace scalelaw::analysis
