#include "analysis/traces.h"

#include <cmath>

#include "analysis/predictor.h"

namespace scalelaw::analysis {

namespace {
double between(double low, double high, int step, int steps) {
  return low * std::pow(high / low, static_cast<double>(step) / steps);
}
}  // namespace

std::vector<BandPoint> prediction_band(const Law& law, double low, double high, int steps) {
  std::vector<BandPoint> points;
  const Predictor predictor(law);
  for (int step = 0; step <= steps; ++step) {
    const double at = between(low, high, step, steps);
    if (auto prediction = predictor.predict({{"flops", at}}); prediction.ok())
      points.push_back({at, *std::move(prediction)});
  }
  return points;
}

std::vector<Residual> residuals(const Law& law) {
  const bool log = law.objective.residual == "log";
  std::vector<Residual> all;
  for (const Point& point : law.points) {
    const double fitted = evaluate(law, point.x);
    all.push_back({point.x, fitted, log ? 100 * (point.value / fitted - 1) : point.value - fitted});
  }
  return all;
}

std::vector<std::pair<double, double>> parabola(const IsoFlop& iso, int steps) {
  const double low = iso.cells.front().params / 1.05, high = iso.cells.back().params * 1.05;
  std::vector<std::pair<double, double>> points;
  for (int step = 0; step <= steps; ++step) {
    const double params = between(low, high, step, steps);
    const double t = std::log(params);
    points.emplace_back(params, iso.c0 + t * (iso.c1 + t * iso.c2));
  }
  return points;
}

absl::StatusOr<std::vector<PathPoint>> best_path(const Law& law, const SurfaceOptions& surface, double low, double high,
                                                 int steps) {
  std::vector<PathPoint> path;
  for (int step = 0; step <= steps; ++step) {
    OptimalOptions question;
    question.surface = surface;
    question.flops = between(low, high, step, steps);
    question.off_factors.clear();
    absl::StatusOr<Optimal> best = optimal(law, question);
    if (!best.ok()) return best.status();
    path.push_back({*question.flops, *std::move(best)});
  }
  return path;
}

}  // namespace scalelaw::analysis
