#include "analysis/starts.h"

#include <limits>

namespace scalelaw::analysis {

double regress(const Transformed& t, const Sample& sample, const Criterion& criterion, Eigen::VectorXd& coefficients) {
  constexpr double kImpossible = std::numeric_limits<double>::infinity();
  if (!t.z.allFinite() || !t.columns.allFinite() || !t.unit.allFinite()) return kImpossible;
  Eigen::VectorXd robust = Eigen::VectorXd::Ones(t.z.size());
  double best = kImpossible;
  const int rounds = criterion.penalty == Penalty::kL2 ? 1 : 4;
  for (int round = 0; round < rounds; ++round) {
    const Eigen::VectorXd weight = sample.weight.cwiseProduct(robust).cwiseProduct(t.unit).cwiseProduct(t.unit);
    Eigen::MatrixXd gram = t.columns.transpose() * weight.asDiagonal() * t.columns;
    gram.diagonal() *= 1 + 1e-12;
    const Eigen::LDLT<Eigen::MatrixXd> factor(gram);
    const Eigen::VectorXd solution = factor.solve(t.columns.transpose() * weight.cwiseProduct(t.z));
    if (factor.info() != Eigen::Success || !solution.allFinite()) return best;
    const Eigen::VectorXd r = (t.columns * solution - t.z).cwiseProduct(t.unit);
    double value = 0;
    for (Eigen::Index i = 0; i < r.size(); ++i) {
      value += sample.weight[i] * criterion.rho(r[i]);
      robust[i] = criterion.robust_weight(r[i]);
    }
    if (value < best) {
      best = value;
      coefficients = solution;
    }
  }
  return best;
}

void clamp(const std::vector<Coordinate>& coordinates, SmallVector& at) {
  for (size_t j = 0; j < coordinates.size(); ++j) {
    double& c = at[static_cast<Eigen::Index>(j)];
    c = std::clamp(c, coordinates[j].low, coordinates[j].high);
  }
}

std::vector<double> axis_of(const Coordinate& coordinate, std::vector<double> otherwise) {
  if (coordinate.grid.size() == 1) return coordinate.grid;
  return otherwise;
}

}  // namespace scalelaw::analysis
