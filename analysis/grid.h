// The grid of a form's non-linear coordinates.
#pragma once

#include <cstddef>
#include <vector>

#include "analysis/form.h"

namespace scalelaw::analysis {

/// Points are numbered with the last coordinate fastest.
struct Grid {
  std::vector<std::vector<double>> axes;
  std::vector<size_t> stride;
  size_t size = 1;

  explicit Grid(const std::vector<Coordinate>& coordinates) {
    for (const Coordinate& c : coordinates)
      if (!c.linear()) axes.push_back(c.grid);
    stride.resize(axes.size());
    for (size_t d = axes.size(); d-- > 0; size *= axes[d].size()) stride[d] = size;
  }
  size_t index(size_t point, size_t d) const { return point / stride[d] % axes[d].size(); }
  void theta(size_t point, double* out) const {
    for (size_t d = 0; d < axes.size(); ++d) out[d] = axes[d][index(point, d)];
  }
  /// No neighbour, diagonals included, has a lower value.
  bool minimum(const std::vector<double>& value, size_t point) const { return minimum(value, point, point, 0); }

 private:
  bool minimum(const std::vector<double>& value, size_t point, size_t neighbour, size_t d) const {
    // Ties go to the lower number, so that a plateau has one minimum.
    if (d == axes.size())
      return value[point] < value[neighbour] || (value[point] == value[neighbour] && point <= neighbour);
    const size_t i = index(point, d);
    return minimum(value, point, neighbour, d + 1) && (i == 0 || minimum(value, point, neighbour - stride[d], d + 1)) &&
           (i + 1 == axes[d].size() || minimum(value, point, neighbour + stride[d], d + 1));
  }
};

}  // namespace scalelaw::analysis
