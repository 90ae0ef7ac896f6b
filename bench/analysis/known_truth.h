// Studies drawn from a form itself, so that the parameters' truths are known too.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/law.h"
#include "analysis/random.h"

namespace scalelaw::analysis {

/// Runs on a grid, measured with normal noise in the form's own residual.
struct KnownTruth {
  std::string name;
  /// Of a chain, each run has a loss and a score, which follows the loss that was measured.
  std::string form;
  /// Natural units, in the form's order.
  std::vector<double> parameters;
  /// Per column: values of a grid; the study has a run at every combination, but for those whose unique samples exceed
  /// their samples.
  std::vector<std::vector<double>> axes;
  double noise = 0.01;
  /// Of a chain's scores.
  double score_noise = 0.01;
  /// Huber, δ = 1e-3, is what losses are usually fitted by; here the noise is normal.
  std::string objective = "";
  /// Parameters that the study holds at their truth.
  std::vector<std::string> known = {};

  /// `factor` beyond the study: its largest value of every column times the factor; of a loss, to where it falls for so
  /// many times the compute by Kaplan et al. 2020, L ∝ C^−0.05.
  std::vector<double> beyond(double factor) const;

  /// Of a bounded form.
  static constexpr double kChance = 0.37;
  static constexpr double kCeiling = 0.96;
};

/// All forms, each in the designs that are measured.
std::vector<KnownTruth> known_truths();

/// `count` values from low to high, equally spaced in logs.
std::vector<double> axis(double low, double high, int count);

/// Rates at which 95 % intervals hold the truth.
struct KnownTruthCoverage {
  int refused = 0;
  std::vector<std::string> names;
  /// By name of the intervals, then by parameter; NaN for one that is held.
  std::map<std::string, std::vector<double>> parameters;
  /// Share of studies whose law calls the parameter not identified, as `parameters`.
  std::map<std::string, std::vector<double>> unidentified;
  /// By extrapolation factor: of a new run there.
  std::map<double, double> prediction95;
  std::map<double, double> prediction50;
  /// Share of studies whose law carries a warning, by what it begins with; "" for any.
  std::map<std::string, double> warned;
};

KnownTruthCoverage measure_known_truth(const KnownTruth& study, int studies, int bootstrap, int threads);

}  // namespace scalelaw::analysis
