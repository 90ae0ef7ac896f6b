#include "analysis/akima.h"

#include <algorithm>
#include <cmath>

namespace scalelaw::analysis {
namespace {

/// A cubic on [0, h]: y + s·u + q·u² + c·u³.
struct Cubic {
  double y, s, q, c, h;

  Cubic(double y0, double y1, double s0, double s1, double width) : y(y0), s(s0), h(width) {
    const double chord = (y1 - y0) / h;
    q = (3 * chord - 2 * s0 - s1) / h;
    c = (s0 + s1 - 2 * chord) / (h * h);
  }
  double operator()(double u) const { return y + u * (s + u * (q + u * c)); }
  /// The minimum in [0, h].
  double lowest() const {
    double best = operator()(h) < y ? h : 0;
    const auto consider = [&](double u) {
      if (u > 0 && u < h && operator()(u) < operator()(best)) best = u;
    };
    // s + 2q·u + 3c·u² = 0, without cancellation.
    const double discriminant = q * q - 3 * c * s;
    if (discriminant < 0) return best;
    const double root = -(q + std::copysign(std::sqrt(discriminant), q));
    if (c != 0) consider(root / (3 * c));
    if (root != 0) consider(s / root);
    return best;
  }
};

}  // namespace

Akima::Akima(std::vector<double> x, std::vector<double> y) : x_(std::move(x)), y_(std::move(y)) {
  const size_t n = x_.size();
  // Chords, with two more on either side that continue the parabola through the last three points.
  std::vector<double> chord(n + 3);
  for (size_t i = 0; i + 1 < n; ++i) chord[i + 2] = (y_[i + 1] - y_[i]) / (x_[i + 1] - x_[i]);
  const bool line = n == 2;
  chord[1] = line ? chord[2] : 2 * chord[2] - chord[3];
  chord[0] = 2 * chord[1] - chord[2];
  chord[n + 1] = line ? chord[2] : 2 * chord[n] - chord[n - 1];
  chord[n + 2] = 2 * chord[n + 1] - chord[n];
  double widest = 0;
  for (size_t i = 0; i < n; ++i)
    widest = std::max(widest, std::abs(chord[i + 3] - chord[i + 2]) + std::abs(chord[i + 1] - chord[i]));
  for (size_t i = 0; i < n; ++i) {
    const double after = std::abs(chord[i + 3] - chord[i + 2]), before = std::abs(chord[i + 1] - chord[i]);
    // Straight on both sides: the slopes' mean, as Akima has it.
    slope_.push_back(after + before > 1e-9 * widest ? (after * chord[i + 1] + before * chord[i + 2]) / (after + before)
                                                    : (chord[i + 1] + chord[i + 2]) / 2);
  }
}

double Akima::operator()(double at) const {
  const auto after = std::upper_bound(x_.begin() + 1, x_.end() - 1, at);
  const size_t i = static_cast<size_t>(after - x_.begin()) - 1;
  return Cubic(y_[i], y_[i + 1], slope_[i], slope_[i + 1], x_[i + 1] - x_[i])(at - x_[i]);
}

std::optional<Akima::Point> Akima::minimum() const {
  Point best{x_.front(), y_.front()};
  for (size_t i = 0; i + 1 < x_.size(); ++i) {
    const Cubic piece(y_[i], y_[i + 1], slope_[i], slope_[i + 1], x_[i + 1] - x_[i]);
    const double u = piece.lowest();
    if (piece(u) < best.y) best = {x_[i] + u, piece(u)};
  }
  if (best.x <= x_.front() || best.x >= x_.back()) return std::nullopt;
  return best;
}

}  // namespace scalelaw::analysis
