#include "analysis/noise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/quantile.h"

namespace scalelaw::analysis {
namespace {

/// The scatter about the curve counts as more than seed noise where its variance exceeds the seeds' by this factor
/// (an F test at about 20 % for a few degrees of freedom).
constexpr double kMisfitRatio = 2;
constexpr int kFewestForUnevenness = 20;

double difference(double a, double b, Residual residual) {
  return residual == Residual::kLog ? std::log(a / b) : a - b;
}

/// Half the interquartile range over that of a normal distribution: 1.349.
double robust_sigma(const Eigen::VectorXd& residual) {
  std::vector<double> sorted(residual.begin(), residual.end());
  std::sort(sorted.begin(), sorted.end());
  return (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 1.349;
}

}  // namespace

Noise estimate_noise(const Problem& problem, const Sample& sample, const Optimum& optimum) {
  const Eigen::VectorXd residual = linearise(problem, sample, optimum.coordinates).residual;
  double scatter = 0, scatter_per_run = 0;
  int rows = 0;
  for (Eigen::Index i = 0; i < residual.size(); ++i) {
    const double square = residual[i] * residual[i];
    scatter += square;
    scatter_per_run += square * static_cast<double>(problem.points[i].members.size());
    rows += sample.weight[i] > 0;
  }
  const int dof = std::max(1, rows - static_cast<int>(optimum.coordinates.size()));

  double seeds = 0;
  int seeds_dof = 0;
  for (const Cell& cell : problem.cells) {
    for (int m : cell.members) {
      const double r = difference(problem.observations[m].value, cell.value, problem.criterion.residual);
      if (std::isfinite(r)) seeds += r * r;
    }
    seeds_dof += static_cast<int>(cell.members.size()) - 1;
  }
  const bool explained = seeds_dof > 0 && scatter_per_run / dof <= kMisfitRatio * seeds / seeds_dof;
  if (explained) return {std::sqrt((scatter_per_run + seeds) / (dof + seeds_dof)), dof + seeds_dof, true};
  return {std::sqrt(scatter / dof), dof, seeds_dof == 0};
}

double LikelihoodScale::critical95() const {
  const double t = student_quantile(0.975, dof);
  return t * t;
}

LikelihoodScale likelihood_scale(const Problem& problem, const Linearised& linearised, const Noise& noise) {
  const Eigen::Index rows = linearised.residual.size();
  if (problem.criterion.penalty == Penalty::kL2) {
    double runs = 0;
    for (const Cell& point : problem.points) runs += static_cast<double>(point.members.size());
    const double per_point = noise.per_run ? static_cast<double>(rows) / runs : 1;
    const double variance = noise.sigma * noise.sigma * per_point;
    return {variance, variance, noise.dof};
  }
  const Criterion& criterion = problem.criterion;
  const double bandwidth = robust_sigma(linearised.residual) * std::pow(static_cast<double>(rows), -1.0 / 3);
  double square = 0, slope = 0, steepest = 0;
  for (double r : linearised.residual) {
    const double here = (criterion.slope(r + bandwidth) - criterion.slope(r - bandwidth)) / (2 * bandwidth);
    square += criterion.slope(r) * criterion.slope(r);
    slope += here;
    steepest = std::max(steepest, here);
  }
  const auto parameters = static_cast<double>(linearised.jacobian.cols());
  const auto dof = static_cast<int>(std::max(1.0, static_cast<double>(rows) - parameters));
  // A fit with a kink passes through as many points as it has parameters: their residuals say nothing of the noise.
  slope = std::max((slope - parameters * steepest) / dof, 0.1 * slope / static_cast<double>(rows));
  return {square / dof / slope, square / dof / (slope * slope), dof};
}

std::string uneven_noise(const Problem& problem, const Sample& sample, const Linearised& linearised) {
  const Eigen::Index rows = sample.y.size(), columns = sample.logx.cols();
  if (rows < kFewestForUnevenness) return "";
  const Eigen::VectorXd size = linearised.residual.cwiseAbs();
  Eigen::MatrixXd design(rows, columns + 1);
  design << Eigen::VectorXd::Ones(rows), sample.logx;
  const Eigen::VectorXd line = design.colPivHouseholderQr().solve(size);
  const Eigen::VectorXd fitted = design * line;
  const double total = (size.array() - size.mean()).square().sum();
  const double explained = (fitted.array() - size.mean()).square().sum();
  if (!(total > 0) ||
      static_cast<double>(rows) * explained / total < chi_squared_quantile(0.99, static_cast<int>(columns)))
    return "";
  Eigen::Index steepest = 0;
  double change = 0;
  for (Eigen::Index c = 0; c < columns; ++c) {
    const double over_range = line[c + 1] * (sample.logx.col(c).maxCoeff() - sample.logx.col(c).minCoeff());
    if (std::abs(over_range) < std::abs(change)) continue;
    change = over_range;
    steepest = c;
  }
  return fmt::format(
      "the noise is not the same everywhere: it {} with {}; a prediction's interval rests on its average, so it is too "
      "{} beyond the largest {} (weights in proportion to 1/variance would mend this)",
      change > 0 ? "grows" : "shrinks", problem.columns[steepest], change > 0 ? "narrow" : "wide",
      problem.columns[steepest]);
}

}  // namespace scalelaw::analysis
