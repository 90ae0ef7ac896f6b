// What plots show of a law: its curve and band, its residuals, the best sizes along compute.
#pragma once

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/frontier.h"
#include "analysis/law.h"
#include "analysis/optimal.h"

namespace scalelaw::analysis {

struct BandPoint {
  double flops = 0;
  Prediction prediction;
};
/// A law of FLOPs alone with its prediction intervals, at steps + 1 places from `low` to `high`, evenly in the
/// logarithm; empty for a law of other columns.
std::vector<BandPoint> prediction_band(const Law& law, double low, double high, int steps);

struct Residual {
  std::vector<double> x;
  double fitted = 0;
  /// In per cent of the fitted value for a law of log residuals, else in units of the metric.
  double value = 0;
};
/// One per point that the law was fitted to.
std::vector<Residual> residuals(const Law& law);

/// (N, value) along one budget's parabola, a little beyond its sizes.
std::vector<std::pair<double, double>> parabola(const IsoFlop& iso, int steps);

struct PathPoint {
  double flops = 0;
  Optimal best;
};
/// The best sizes for steps + 1 budgets from `low` to `high` FLOPs, evenly in the logarithm. Errors: as `optimal`.
absl::StatusOr<std::vector<PathPoint>> best_path(const Law& law, const SurfaceOptions& surface, double low, double high,
                                                 int steps);

}  // namespace scalelaw::analysis
