// Studies drawn from a form itself, so that the parameters' truths are known too.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "analysis/law.h"
#include "analysis/random.h"

namespace scalelaw::analysis {

/// Runs at geometrically spaced x, measured with normal noise in the form's own residual.
struct KnownTruth {
  std::string name;
  std::string form;
  /// Natural units, in the form's order.
  std::vector<double> parameters;
  /// Per column: values of a grid; the study has a run at every combination.
  std::vector<std::vector<double>> axes;
  double noise = 0.01;
  /// Huber, δ = 1e-3, is what chinchilla is usually fitted by; here the noise is normal.
  std::string objective = "";
  /// A score with kChance and kCeiling.
  bool score = false;

  std::vector<double> truth_at(const std::vector<std::vector<double>>& x) const;
  /// Its largest x in every column, times `factor` in each.
  std::vector<double> beyond(double factor) const;
  std::vector<std::string> columns() const;
  FitOptions options() const;
  double measure(double truth, Random& random) const;
  std::vector<Observation> run(Random& random) const;

  static constexpr double kChance = 0.37;
  static constexpr double kCeiling = 0.96;
};

/// `count` values from low to high, equally spaced in logs.
std::vector<double> axis(double low, double high, int count);

/// Rates at which 95 % intervals hold the truth.
struct KnownTruthCoverage {
  int refused = 0;
  /// By name of the intervals, then by parameter.
  std::map<std::string, std::vector<double>> parameters;
  /// By extrapolation factor: of a new run there.
  std::map<double, double> prediction95;
  std::map<double, double> prediction50;
  /// Share of studies whose law carries any warning.
  double warned = 0;
};

KnownTruthCoverage measure_known_truth(const KnownTruth& study, int studies, int bootstrap, int threads);

}  // namespace scalelaw::analysis
