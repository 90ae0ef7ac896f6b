#include "analysis/power_law.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "analysis/quantile.h"

namespace scalelaw::analysis {

double PowerLaw::at(double x) const {
  return coefficient * std::pow(x, exponent);
}

double PowerLaw::log_se(double x) const {
  return std::hypot(level_se, (std::log(x) - log_centre) * exponent_se);
}

absl::StatusOr<PowerLaw> fit_power_law(const std::vector<double>& x, const std::vector<double>& y,
                                       const std::vector<double>& log_std) {
  const size_t n = x.size();
  if (y.size() != n || (!log_std.empty() && log_std.size() != n))
    return absl::InvalidArgumentError(
        fmt::format("x, y, log_std: lengths differ: {}, {}, {}", n, y.size(), log_std.size()));
  const auto positive = [](double value) { return value > 0 && std::isfinite(value); };
  if (!std::all_of(x.begin(), x.end(), positive) || !std::all_of(y.begin(), y.end(), positive) ||
      !std::all_of(log_std.begin(), log_std.end(), positive))
    return absl::InvalidArgumentError("x, y, log_std: must be positive and finite");
  if (n < 3)
    return absl::FailedPreconditionError(fmt::format("too few points for a power law: {}, needs at least 3", n));

  const auto weight = [&](size_t i) { return log_std.empty() ? 1.0 : 1 / (log_std[i] * log_std[i]); };
  double total = 0, mean_x = 0, mean_y = 0;
  for (size_t i = 0; i < n; ++i) {
    total += weight(i);
    mean_x += weight(i) * std::log(x[i]);
    mean_y += weight(i) * std::log(y[i]);
  }
  mean_x /= total;
  mean_y /= total;
  double xx = 0, xy = 0, yy = 0;
  for (size_t i = 0; i < n; ++i) {
    const double dx = std::log(x[i]) - mean_x, dy = std::log(y[i]) - mean_y;
    xx += weight(i) * dx * dx;
    xy += weight(i) * dx * dy;
    yy += weight(i) * dy * dy;
  }
  if (!(xx > 1e-18 * total))
    return absl::FailedPreconditionError(fmt::format("every point is at x = {:.6g}: a power law needs several", x[0]));

  PowerLaw law;
  law.exponent = xy / xx;
  law.coefficient = std::exp(mean_y - law.exponent * mean_x);
  law.log_centre = mean_x;
  law.dof = static_cast<int>(n) - 2;
  double chi_squared = 0;
  for (size_t i = 0; i < n; ++i) {
    const double r = std::log(y[i]) - mean_y - law.exponent * (std::log(x[i]) - mean_x);
    chi_squared += weight(i) * r * r;
  }
  law.scatter = std::sqrt(chi_squared / law.dof);
  law.r2 = yy > 0 ? 1 - chi_squared / yy : 1;
  const double inflation = log_std.empty() ? law.scatter : std::max(1.0, law.scatter);
  law.exponent_se = inflation / std::sqrt(xx);
  law.level_se = inflation / std::sqrt(total);
  const double reach = student_quantile(0.975, law.dof) * law.exponent_se;
  law.exponent_low95 = law.exponent - reach;
  law.exponent_high95 = law.exponent + reach;
  return law;
}

}  // namespace scalelaw::analysis
