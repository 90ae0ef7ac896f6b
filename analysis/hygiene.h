// What can be wrong with the runs that a law is fitted to, before anybody believes it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/law.h"

namespace scalelaw::analysis {

struct DiagnoseOptions {
  /// Where the effect on a prediction is told, a value for each of the law's columns. Empty: ten times the largest
  /// fitted value of each column.
  std::map<std::string, double> at;
  /// Robust z beyond which a point is an outlier (Iglewicz & Hoaglin 1993).
  double outlier_z = 3.5;
};

/// What the law would be without one run.
struct Influence {
  std::string run;
  /// Its rows among the observations fitted.
  int rows = 0;
  /// Parameters without it minus with it, in the order of the law's.
  std::vector<double> parameter_change;
  /// ln of the prediction at `at` without it over that with it; the difference itself for a law of raw residuals.
  double prediction_change = 0;
  /// Of the jackknife variance of the prediction.
  double variance_share = 0;
  /// False: one Newton step (the infinitesimal jackknife, Efron 1982, ch. 6) rather than a refit.
  bool refitted = true;
};

struct Outlier {
  std::vector<std::string> runs;
  /// In the order of the law's columns.
  std::vector<double> x;
  double value = 0;
  double fitted = 0;
  /// In units of the law's residual, and over 1.4826 times the median absolute residual (of the points that the fit
  /// does not pass through exactly).
  double residual = 0;
  double z = 0;
};

/// What the rows say of how FLOPs were counted.
struct FlopConvention {
  /// Geometric mean of C/(N·D) over the rows, and its spread: standard deviation of the logarithm.
  double ratio = 0;
  double log_spread = 0;
  /// d ln ratio/d ln N: not 0 where something is counted that does not grow with N (attention, embeddings, a head).
  double slope = 0;
  int rows = 0;
};

struct RepeatedRuns {
  int rows = 0;
  int runs = 0;
  /// Runs with several rows.
  int repeated = 0;
  int most_rows = 0;
};

struct Diagnosis {
  /// By how much the prediction changes, largest first.
  std::vector<Influence> influences;
  /// Jackknife standard error of the prediction at `at`, over runs, in units of `Influence::prediction_change`.
  double jackknife_se = 0;
  std::map<std::string, double> at;
  /// Largest |z| first, judged by a fit that outliers cannot bend (least absolute deviation).
  std::vector<Outlier> outliers;
  /// The law fitted with and without the outliers (no bootstrap); the latter absent where there are none.
  Law law;
  std::optional<Law> without_outliers;
  /// Absent where no row has all of params, samples and flops.
  std::optional<FlopConvention> flops;
  RepeatedRuns repeated;
  /// Everything above that needs a person's attention, in words.
  std::vector<std::string> warnings;
};

/// Fits the law and looks for what it rests on.
///
/// Errors: as `fit` and `predict`.
absl::StatusOr<Diagnosis> diagnose(const std::vector<Observation>& observations, const FitOptions& options,
                                   const DiagnoseOptions& diagnose_options = {});

/// How FLOPs were counted: absent where no row has all of params, samples and flops.
std::optional<FlopConvention> flop_convention(const std::vector<Observation>& observations);

/// How many rows belong to how many runs.
RepeatedRuns repeated_runs(const std::vector<Observation>& observations);

/// Warnings that every fit carries, from the rows alone: FLOPs that do not go with params and samples. Which of params
/// and samples is which cannot be told from C = k·N·D, nor whether a loss is in nats or bits.
std::vector<std::string> unit_warnings(const std::vector<Observation>& observations);

}  // namespace scalelaw::analysis
