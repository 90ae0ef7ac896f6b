#include "analysis/hygiene.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/status/status.h"
#include "analysis/problem.h"
#include "analysis/search.h"

namespace scalelaw::analysis {
namespace {

/// Runs × rows up to which every run's influence is refitted.
constexpr size_t kRefitLimit = 1'000'000;
/// A run with more of the jackknife variance than this carries the prediction.
constexpr double kCarries = 0.5;
/// Operations per parameter and sample: below the first not even sparse models are, above the second nor are images of
/// many thousand patches.
constexpr double kLeastPerParamSample = 0.01;
constexpr double kMostPerParamSample = 1e7;
constexpr double kFlopsPerPetaflopDay = 8.64e19;
/// Spread of C/(N·D) (of its logarithm) from which its dependence on N matters to N*(C).
constexpr double kUneven = 0.05;
constexpr size_t kMostNames = 10;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<double> natural(const Problem& problem, const Optimum& optimum) {
  return problem.form->parameters(optimum.coordinates.data(), problem.log_scale.data());
}

Eigen::VectorXd curve(const Problem& problem, const Sample& sample, const Optimum& optimum) {
  Workspace work;
  Eigen::VectorXd values;
  problem.form->values(optimum.coordinates.data(), sample.logx, work, values);
  return values;
}

struct Residuals {
  Eigen::VectorXd fitted;
  std::vector<double> residual;
  /// Robust standard deviation of those that the fit has seen.
  double scale = 0;
};

/// About a fit by least absolute deviation to the points that are kept; absent where there is none, or too few points
/// besides those that the curve passes through, which say nothing of the spread.
std::optional<Residuals> robust_residuals(const Problem& problem, Sample sample, const std::vector<bool>& kept) {
  for (size_t i = 0; i < kept.size(); ++i)
    if (!kept[i]) sample.weight[static_cast<Eigen::Index>(i)] = 0;
  const std::vector<Optimum> optima = minimise(*problem.form, sample, {problem.criterion.residual, Penalty::kLad, 0});
  if (optima.empty()) return std::nullopt;
  Residuals result{curve(problem, sample, optima.front()), {}, 0};
  std::vector<double> sizes;
  for (size_t i = 0; i < kept.size(); ++i) {
    result.residual.push_back(
        -problem.criterion.residual_of(result.fitted[static_cast<Eigen::Index>(i)], problem.points[i].value));
    if (kept[i]) sizes.push_back(std::abs(result.residual[i]));
  }
  const auto through = static_cast<size_t>(optima.front().coordinates.size());
  if (sizes.size() < through + 3) return std::nullopt;
  std::sort(sizes.begin(), sizes.end());
  result.scale = 1.4826 * median({sizes.begin() + static_cast<std::ptrdiff_t>(through), sizes.end()});
  return result;
}

/// Points far from a curve that they have no say in. Least absolute deviation does not mind wild values, but bends to
/// several at one end of the range, which hide each other: what is found is set aside, and looked for again without.
std::vector<Outlier> find_outliers(const Problem& problem, const Sample& sample, double limit) {
  constexpr int kRounds = 10;
  const size_t points = problem.points.size();
  std::vector<bool> kept(points, true);
  std::vector<Outlier> outliers;
  for (int round = 0; round < kRounds; ++round) {
    const std::optional<Residuals> about = robust_residuals(problem, sample, kept);
    if (!about) break;
    std::vector<bool> within(points);
    outliers.clear();
    for (size_t i = 0; i < points; ++i) {
      within[i] = !(std::abs(about->residual[i]) > limit * about->scale);
      if (within[i]) continue;
      const Cell& point = problem.points[i];
      Outlier outlier{{},
                      {},
                      point.value,
                      about->fitted[static_cast<Eigen::Index>(i)],
                      about->residual[i],
                      about->residual[i] / about->scale};
      for (int m : point.members) outlier.runs.push_back(problem.observations[m].run);
      for (const std::string& column : problem.columns) outlier.x.push_back(column_value(problem, point, column));
      outliers.push_back(std::move(outlier));
    }
    // More than a quarter are no outliers: the form is wrong, or the noise has long tails.
    if (within == kept || 4 * outliers.size() > points) break;
    kept = std::move(within);
  }
  std::stable_sort(outliers.begin(), outliers.end(),
                   [](const Outlier& a, const Outlier& b) { return std::abs(a.z) > std::abs(b.z); });
  return outliers;
}

/// The rows of each run, in the order of their first rows.
std::vector<std::vector<int>> rows_by_run(const std::vector<Observation>& observations) {
  std::map<std::string, size_t> place;
  std::vector<std::vector<int>> rows;
  for (size_t i = 0; i < observations.size(); ++i) {
    const auto [at, added] = place.emplace(observations[i].run, rows.size());
    if (added) rows.emplace_back();
    rows[at->second].push_back(static_cast<int>(i));
  }
  return rows;
}

/// Leaves one run out after another.
class LeaveOneOut {
 public:
  LeaveOneOut(const Problem& problem, const FitOptions& options, const Sample& sample,
              const std::vector<Optimum>& optima, bool refit)
      : problem_(problem), options_(options), sample_(sample), optima_(optima), refit_(refit) {}

  /// Parameters without these rows; absent where too few are left.
  std::optional<std::vector<double>> without(const std::vector<int>& rows) const {
    // Another size may be the best of its budget then.
    if (problem_.on_frontier) return refitted_frontier(rows);
    return natural(problem_, refit_ ? refitted(rows) : newton_step(rows));
  }

 private:
  std::optional<std::vector<double>> refitted_frontier(const std::vector<int>& rows) const {
    std::vector<Observation> rest = problem_.observations;
    for (size_t r = rows.size(); r-- > 0;) rest.erase(rest.begin() + rows[r]);
    FitOptions same = options_;
    same.form = problem_.form->name();
    const absl::StatusOr<Problem> problem = make_problem(rest, same);
    if (!problem.ok()) return std::nullopt;
    const std::vector<Optimum> optima =
        minimise(*problem->form, make_sample(problem->points, *problem), problem->criterion);
    if (optima.empty()) return std::nullopt;
    return natural(*problem, optima.front());
  }

  Optimum refitted(const std::vector<int>& rows) const {
    Sample rest = sample_;
    for (int row : rows) rest.weight[row] = 0;
    Optimum best;
    best.objective = HUGE_VAL;
    for (const Optimum& start : optima_) {
      Optimum candidate = polish(*problem_.form, rest, problem_.criterion, start.coordinates);
      if (candidate.objective < best.objective) best = std::move(candidate);
    }
    return std::isfinite(best.objective) ? best : optima_.front();
  }

  /// At the optimum the gradients of all rows cancel: without some of them it is minus theirs.
  Optimum newton_step(const std::vector<int>& rows) const {
    const auto count = static_cast<Eigen::Index>(rows.size());
    Sample left_out{Eigen::MatrixXd(count, sample_.logx.cols()), Eigen::VectorXd(count), Eigen::VectorXd(count)};
    for (Eigen::Index i = 0; i < count; ++i) {
      left_out.logx.row(i) = sample_.logx.row(rows[static_cast<size_t>(i)]);
      left_out.y[i] = sample_.y[rows[static_cast<size_t>(i)]];
      left_out.weight[i] = sample_.weight[rows[static_cast<size_t>(i)]];
    }
    if (all_.gradient.size() == 0) Total(*problem_.form, sample_)(problem_.criterion, optima_[0].coordinates, all_);
    SecondOrder theirs;
    Total(*problem_.form, left_out)(problem_.criterion, optima_[0].coordinates, theirs);
    Optimum result = optima_[0];
    const Eigen::MatrixXd hessian = all_.hessian - theirs.hessian;
    const Eigen::VectorXd gradient = all_.gradient - theirs.gradient;
    result.coordinates -= hessian.completeOrthogonalDecomposition().solve(gradient);
    const std::vector<Coordinate> coordinates = problem_.form->coordinates(sample_.logx);
    for (size_t j = 0; j < coordinates.size(); ++j) {
      double& at = result.coordinates[static_cast<Eigen::Index>(j)];
      at = std::clamp(at, coordinates[j].low, coordinates[j].high);
    }
    return result;
  }

  const Problem& problem_;
  const FitOptions& options_;
  const Sample& sample_;
  const std::vector<Optimum>& optima_;
  const bool refit_;
  mutable SecondOrder all_;
};

void find_influences(const Problem& problem, const FitOptions& options, const Sample& sample,
                     const std::vector<Optimum>& optima, Diagnosis& diagnosis) {
  std::vector<double> x;
  for (const std::string& column : problem.columns) x.push_back(diagnosis.at.at(column));
  const std::vector<double> with = natural(problem, optima.front());
  const double predicted = problem.form->value(with.data(), x.data());
  const bool log = problem.criterion.residual == Residual::kLog;
  const std::vector<std::vector<int>> runs = rows_by_run(problem.observations);
  const bool refit = problem.on_frontier || runs.size() * problem.observations.size() <= kRefitLimit;
  const LeaveOneOut leave_out(problem, options, sample, optima, refit);
  for (const std::vector<int>& rows : runs) {
    Influence influence;
    influence.run = problem.observations[rows[0]].run;
    influence.rows = static_cast<int>(rows.size());
    influence.refitted = refit;
    const std::optional<std::vector<double>> without = leave_out.without(rows);
    if (!without) {
      diagnosis.warnings.push_back(fmt::format("without run {} the law cannot be fitted at all", influence.run));
      continue;
    }
    for (size_t j = 0; j < with.size(); ++j) influence.parameter_change.push_back((*without)[j] - with[j]);
    const double there = problem.form->value(without->data(), x.data());
    influence.prediction_change = log ? std::log(there / predicted) : there - predicted;
    diagnosis.influences.push_back(std::move(influence));
  }
  const double n = static_cast<double>(diagnosis.influences.size());
  double mean = 0, sum = 0;
  for (const Influence& influence : diagnosis.influences) mean += influence.prediction_change / n;
  for (const Influence& influence : diagnosis.influences) sum += std::pow(influence.prediction_change - mean, 2);
  diagnosis.jackknife_se = n > 1 ? std::sqrt((n - 1) / n * sum) : 0;
  for (Influence& influence : diagnosis.influences)
    influence.variance_share = sum > 0 ? std::pow(influence.prediction_change - mean, 2) / sum : 0;
  std::stable_sort(diagnosis.influences.begin(), diagnosis.influences.end(),
                   [](const Influence& a, const Influence& b) {
                     return std::abs(a.prediction_change) > std::abs(b.prediction_change);
                   });
}

absl::StatusOr<std::map<std::string, double>> resolve_at(const Problem& problem,
                                                         const std::map<std::string, double>& given) {
  std::map<std::string, double> at;
  constexpr double kBeyond = 10;
  for (const auto& [column, value] : given)
    if (std::find(problem.columns.begin(), problem.columns.end(), column) == problem.columns.end())
      return absl::InvalidArgumentError(
          fmt::format("at: the law has no column '{}'; its columns: {}", column, fmt::join(problem.columns, ", ")));
  for (const std::string& column : problem.columns) {
    double largest = 0;
    for (const Cell& point : problem.points) largest = std::max(largest, column_value(problem, point, column));
    const auto found = given.find(column);
    if (!given.empty() && found == given.end())
      return absl::InvalidArgumentError(
          fmt::format("at: '{}' is missing; the law's columns: {}", column, fmt::join(problem.columns, ", ")));
    at[column] = given.empty() ? kBeyond * largest : found->second;
    if (!(at[column] > 0) || !std::isfinite(at[column]))
      return absl::InvalidArgumentError(fmt::format("at: {} must be positive, not {}", column, at[column]));
  }
  return at;
}

/// `a, b, c and 4 more`.
std::string some_of(const std::vector<std::string>& names) {
  if (names.size() <= kMostNames) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + kMostNames, ", "),
                     names.size() - kMostNames);
}

absl::Status refit_without_outliers(const std::vector<Observation>& observations, const FitOptions& options,
                                    Diagnosis& diagnosis) {
  std::set<std::string> runs;
  std::vector<std::string> names;
  for (const Outlier& outlier : diagnosis.outliers)
    for (const std::string& run : outlier.runs)
      if (runs.insert(run).second) names.push_back(run);
  std::vector<Observation> rest;
  for (const Observation& o : observations)
    if (!runs.contains(o.run)) rest.push_back(o);
  FitOptions same = options;
  same.form = diagnosis.law.form;
  absl::StatusOr<Law> without = fit(rest, same);
  if (!without.ok()) return without.status();
  std::vector<std::string> changes;
  for (size_t j = 0; j < without->parameters.size(); ++j)
    changes.push_back(fmt::format("{} {:.5g} → {:.5g}", without->parameters[j].name, diagnosis.law.parameters[j].value,
                                  without->parameters[j].value));
  diagnosis.warnings.push_back(fmt::format("{} outlier(s): run {}; without them {}", diagnosis.outliers.size(),
                                           some_of(names), fmt::join(changes, ", ")));
  diagnosis.without_outliers = *std::move(without);
  return absl::OkStatus();
}

void warn_of_flops(const FlopConvention& flops, std::vector<std::string>& warnings) {
  if (flops.log_spread <= kUneven) return;
  warnings.push_back(
      fmt::format("flops/(params·samples) is {:.3g} give or take {:.0f} %, growing as params^{:.3g}: FLOPs count "
                  "something that does "
                  "not grow with params (attention, embeddings, a head), or params leave it out; exponents of N*(C) "
                  "depend on which",
                  flops.ratio, 100 * flops.log_spread, flops.slope));
}

}  // namespace

std::optional<FlopConvention> flop_convention(const std::vector<Observation>& observations) {
  FlopConvention result;
  double mean_n = 0, mean_r = 0, nn = 0, nr = 0, rr = 0;
  for (const Observation& o : observations) {
    if (!(o.params > 0 && o.samples > 0 && o.flops > 0)) continue;
    // Welford's update: exact to rounding whatever the mean.
    const double n = std::log(o.params), r = std::log(o.flops) - n - std::log(o.samples);
    ++result.rows;
    const double dn = n - mean_n, dr = r - mean_r;
    mean_n += dn / result.rows;
    mean_r += dr / result.rows;
    nn += dn * (n - mean_n);
    nr += dn * (r - mean_r);
    rr += dr * (r - mean_r);
  }
  if (result.rows == 0) return std::nullopt;
  result.ratio = std::exp(mean_r);
  result.log_spread = result.rows > 1 ? std::sqrt(rr / (result.rows - 1)) : 0;
  result.slope = nn > 1e-12 * result.rows ? nr / nn : 0;
  return result;
}

RepeatedRuns repeated_runs(const std::vector<Observation>& observations) {
  RepeatedRuns result;
  result.rows = static_cast<int>(observations.size());
  for (const std::vector<int>& rows : rows_by_run(observations)) {
    ++result.runs;
    result.repeated += rows.size() > 1;
    result.most_rows = std::max(result.most_rows, static_cast<int>(rows.size()));
  }
  return result;
}

std::vector<std::string> unit_warnings(const std::vector<Observation>& observations) {
  const std::optional<FlopConvention> flops = flop_convention(observations);
  if (!flops) return {};
  const auto count = [&](double Observation::*column) {
    return std::count_if(observations.begin(), observations.end(), [&](const Observation& o) {
      return o.params > 0 && o.samples > 0 && o.flops > 0 && o.*column > o.flops;
    });
  };
  for (const auto& [name, column] : {std::pair{"params", &Observation::params}, {"samples", &Observation::samples}})
    if (const auto more = count(column); 2 * more > flops->rows)
      return {fmt::format("{} exceed flops in {} of {} rows: are the columns swapped, or flops in larger units?", name,
                          more, flops->rows)};
  if (flops->ratio >= kLeastPerParamSample && flops->ratio <= kMostPerParamSample) return {};
  const double off = flops->ratio / 6;
  const bool days = std::abs(std::log(off * kFlopsPerPetaflopDay)) < 0.7;
  return {fmt::format("flops/(params·samples) = {:.3g}, where training takes about 6 per parameter and token: units {}",
                      flops->ratio,
                      days ? "of flops look like petaflop/s-days"
                           : fmt::format("differ by a factor of about 10^{:.0f}", std::log10(off)))};
}

absl::StatusOr<Diagnosis> diagnose(const std::vector<Observation>& observations, const FitOptions& options,
                                   const DiagnoseOptions& diagnose_options) {
  if (!(diagnose_options.outlier_z > 0))
    return absl::InvalidArgumentError(fmt::format("outlier_z: must be positive, not {}", diagnose_options.outlier_z));
  FitOptions quick = options;
  quick.bootstrap = 0;
  const absl::StatusOr<Problem> problem = make_problem(observations, quick);
  if (!problem.ok()) return problem.status();
  absl::StatusOr<Law> law = fit(observations, quick);
  if (!law.ok()) return law.status();
  absl::StatusOr<std::map<std::string, double>> at = resolve_at(*problem, diagnose_options.at);
  if (!at.ok()) return at.status();

  Diagnosis diagnosis;
  diagnosis.law = *std::move(law);
  diagnosis.at = *std::move(at);
  const Sample sample = make_sample(problem->points, *problem);
  const std::vector<Optimum> optima = minimise(*problem->form, sample, problem->criterion);
  diagnosis.outliers = find_outliers(*problem, sample, diagnose_options.outlier_z);
  if (!diagnosis.outliers.empty())
    if (absl::Status status = refit_without_outliers(problem->observations, quick, diagnosis); !status.ok())
      diagnosis.warnings.push_back(
          fmt::format("without the outliers the law cannot be fitted: {}", std::string(status.message())));
  find_influences(*problem, quick, sample, optima, diagnosis);
  if (!diagnosis.influences.empty() && diagnosis.influences[0].variance_share > kCarries)
    diagnosis.warnings.push_back(fmt::format("run {} alone makes {:.0f} % of the prediction's jackknife variance",
                                             diagnosis.influences[0].run,
                                             100 * diagnosis.influences[0].variance_share));

  diagnosis.flops = flop_convention(problem->observations);
  if (diagnosis.flops) warn_of_flops(*diagnosis.flops, diagnosis.warnings);
  diagnosis.repeated = repeated_runs(problem->observations);
  if (diagnosis.repeated.repeated > 0)
    diagnosis.warnings.push_back(fmt::format(
        "{} of {} runs have several rows (up to {}): checkpoints of one run are not independent, and those before its "
        "end are worse than a run that ends there where the learning rate decays",
        diagnosis.repeated.repeated, diagnosis.repeated.runs, diagnosis.repeated.most_rows));
  return diagnosis;
}

}  // namespace scalelaw::analysis
