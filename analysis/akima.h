// Akima's interpolation: a smooth curve through points that one outlying point disturbs near itself only.
#pragma once

#include <optional>
#include <vector>

namespace scalelaw::analysis {

/// Piecewise cubic through (x, y) with Akima's slopes (J. ACM 17, 1970); x increasing, at least two points.
class Akima {
 public:
  Akima(std::vector<double> x, std::vector<double> y);

  /// Beyond the ends the first and last cubic go on.
  double operator()(double at) const;

  struct Point {
    double x = 0;
    double y = 0;
  };
  /// The lowest point strictly inside the ends, exactly; absent where an end is lower still.
  std::optional<Point> minimum() const;

 private:
  std::vector<double> x_, y_, slope_;
};

}  // namespace scalelaw::analysis
