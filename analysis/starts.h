// Where to polish from, for forms whose exhaustive grid would be too large: some coordinates on a grid, the others by
// a linear regression in transformed values that stands in for the criterion.
#pragma once

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <vector>

#include "analysis/grid.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

/// z(y) ≈ columns·coefficients. To first order the criterion's residual is r = (ẑ − z)·dr/dz.
struct Transformed {
  Eigen::MatrixXd columns;
  Eigen::VectorXd z;
  /// dr/dz at each point.
  Eigen::VectorXd unit;
};

/// Coefficients that minimise the criterion to first order, and its value there; infinite where the transform does not
/// exist or the columns cannot be told apart.
double regress(const Transformed& t, const Sample& sample, const Criterion& criterion, Eigen::VectorXd& coefficients);

/// dr/dy of the criterion's residual.
inline double residual_slope(const Criterion& criterion, double y) {
  return criterion.residual == Residual::kLog ? 1 / y : 1;
}

/// Visits every combination of the axes; `complete(theta, coordinates)` fills in all coordinates and gives the
/// criterion, exactly or nearly. Returns the grid's minima, best first, at most `most`.
template <class Complete>
std::vector<SmallVector> grid_minima(const std::vector<std::vector<double>>& axes, const Complete& complete,
                                     size_t most) {
  std::vector<Coordinate> gridded;
  for (const std::vector<double>& axis : axes) gridded.push_back({"", 0, 0, axis});
  const Grid grid(gridded);
  std::vector<double> value(grid.size);
  std::vector<SmallVector> coordinates(grid.size);
  double theta[kMaxParameters];
  for (size_t point = 0; point < grid.size; ++point) {
    grid.theta(point, theta);
    value[point] = complete(theta, coordinates[point]);
  }
  std::vector<size_t> minima;
  for (size_t point = 0; point < grid.size; ++point)
    if (std::isfinite(value[point]) && grid.minimum(value.data(), point)) minima.push_back(point);
  std::stable_sort(minima.begin(), minima.end(), [&](size_t a, size_t b) { return value[a] < value[b]; });
  std::vector<SmallVector> result;
  for (size_t i = 0; i < std::min(most, minima.size()); ++i) result.push_back(coordinates[minima[i]]);
  return result;
}

/// Brings coordinates into their bounds.
void clamp(const std::vector<Coordinate>& coordinates, SmallVector& at);

/// The values of an axis: those given, or the only one where the coordinate is held.
std::vector<double> axis_of(const Coordinate& coordinate, std::vector<double> otherwise);

}  // namespace scalelaw::analysis
