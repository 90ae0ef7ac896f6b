// The grid of a form's non-linear coordinates.
#pragma once

#include <algorithm>
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
  /// No neighbour, diagonals included, has a lower value. Values are `step` apart.
  bool minimum(const double* value, size_t point, size_t step = 1) const {
    return minimum(value, step, point, point, 0);
  }
  /// The lowest value among each point and its neighbours, diagonals included, of `lanes` values per point each for
  /// itself.
  std::vector<double> lowest_around(const std::vector<double>& value, size_t lanes) const {
    std::vector<double> lowest = value, before;
    for (size_t d = 0; d < axes.size(); ++d) {
      before = lowest;
      const size_t step = stride[d] * lanes;
      for (size_t point = 0; point < size; ++point) {
        double* here = lowest.data() + point * lanes;
        const double* there = before.data() + point * lanes;
        const size_t i = index(point, d);
        if (i > 0)
          for (size_t lane = 0; lane < lanes; ++lane) here[lane] = std::min(here[lane], (there - step)[lane]);
        if (i + 1 < axes[d].size())
          for (size_t lane = 0; lane < lanes; ++lane) here[lane] = std::min(here[lane], (there + step)[lane]);
      }
    }
    return lowest;
  }

 private:
  bool minimum(const double* value, size_t step, size_t point, size_t neighbour, size_t d) const {
    // Ties go to the lower number, so that a plateau has one minimum.
    if (d == axes.size()) {
      const double here = value[point * step], there = value[neighbour * step];
      return here < there || (here == there && point <= neighbour);
    }
    const size_t i = index(point, d);
    return minimum(value, step, point, neighbour, d + 1) &&
           (i == 0 || minimum(value, step, point, neighbour - stride[d], d + 1)) &&
           (i + 1 == axes[d].size() || minimum(value, step, point, neighbour + stride[d], d + 1));
  }
};

}  // namespace scalelaw::analysis
