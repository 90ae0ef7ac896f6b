// What a fit minimises: Σ_i w_i·ρ(r_i) over points, r raw or in logs.
#pragma once

#include <cmath>
#include <string_view>

namespace scalelaw::analysis {

enum class Residual { kRaw, kLog };
enum class Penalty { kL2, kHuber, kLad };

struct Criterion {
  Residual residual = Residual::kLog;
  Penalty penalty = Penalty::kL2;
  /// Huber's δ, in units of the residual.
  double delta = 0;

  /// ρ(r): r²/2; Huber's r²/2 up to δ and δ(|r| − δ/2) beyond; |r|.
  double rho(double r) const {
    const double size = std::abs(r);
    if (penalty == Penalty::kLad) return size;
    if (penalty == Penalty::kHuber && size > delta) return delta * (size - delta / 2);
    return r * r / 2;
  }
  double slope(double r) const {
    if (penalty == Penalty::kLad) return r > 0 ? 1 : (r < 0 ? -1 : 0);
    if (penalty == Penalty::kHuber && std::abs(r) > delta) return r > 0 ? delta : -delta;
    return r;
  }
  /// ρ''(r).
  double bend(double r) const {
    if (penalty == Penalty::kLad || (penalty == Penalty::kHuber && std::abs(r) > delta)) return 0;
    return 1;
  }
  /// The weight ρ'(r)/r that turns a least-squares step into a step of this penalty.
  double robust_weight(double r) const {
    constexpr double kTiny = 1e-12;
    return penalty == Penalty::kL2 ? 1 : std::abs(slope(r)) / std::fmax(std::abs(r), kTiny);
  }
  /// Not finite where a log is taken of a curve that is not positive.
  double residual_of(double fitted, double observed) const {
    if (residual == Residual::kRaw) return fitted - observed;
    return fitted > 0 ? std::log(fitted / observed) : HUGE_VAL;
  }
};

}  // namespace scalelaw::analysis
