#include "trainer/loop/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace scalelaw::trainer {

double rate_factor(const Schedule& schedule, int64_t step) {
  const auto steps = static_cast<double>(schedule.steps);
  const double warm = std::max(1.0, schedule.warmup * steps);
  const auto now = static_cast<double>(step);
  const double rise = std::min(1.0, (now + 1) / warm);
  if (schedule.shape == "constant") return rise;
  if (schedule.shape == "wsd") {
    const double fall = 0.2 * steps;
    return std::min(rise, std::min(1.0, (steps - now) / std::max(1.0, fall)));
  }
  const double done = std::max(0.0, (now + 1 - warm) / std::max(1.0, steps - warm + 1));
  return rise * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

double average_share(double ema, int64_t step) {
  return 1 / (1 + ema * static_cast<double>(step));
}

}  // namespace scalelaw::trainer
