#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/status/status.h"
#include "analysis/form.h"
#include "analysis/law.h"
#include "analysis/random.h"

namespace scalelaw::analysis {
namespace {

/// Beyond this factor nobody has checked that the law still holds.
constexpr double kFarExtrapolation = 10;
/// Measurements that each draw stands for.
constexpr int kPerDraw = 4;

std::unique_ptr<const Form> form_of(const Law& law) {
  return make_form(law.form, law.chance && law.ceiling ? Bounds{*law.chance, *law.ceiling} : Bounds{});
}

/// The j-th of kPerDraw standard normal numbers of draw d: quantiles at evenly spaced probabilities, shifted from draw
/// to draw by the golden ratio, so that all draws together fill the normal distribution evenly. Documented in
/// docs/laws.md, as other programs must find the same interval.
double noise_quantile(size_t d, int j) {
  constexpr double kGolden = 0.61803398874989485;
  const double shift = std::fmod((static_cast<double>(d) + 0.5) * kGolden, 1.0);
  return normal_quantile((j + shift) / kPerDraw);
}

/// Measurements of one new run at x, as many as kPerDraw times the draws.
std::vector<double> measurements(const Law& law, const Form& form, const double* x) {
  std::vector<double> result;
  result.reserve(law.draws.size() * kPerDraw);
  const bool log = law.objective.residual == "log";
  // The law stays below the ceiling, a measurement with its noise need not; but a share is never beyond 0 or 1.
  const bool share = law.chance && law.ceiling && *law.chance >= 0 && *law.ceiling <= 1;
  for (size_t d = 0; d < law.draws.size(); ++d) {
    const double curve = form.value(law.draws[d].parameters.data(), x);
    for (int j = 0; j < kPerDraw; ++j) {
      const double noise = law.draws[d].sigma * noise_quantile(d, j);
      double value = log ? curve * std::exp(noise) : curve + noise;
      if (share) value = std::clamp(value, 0.0, 1.0);
      result.push_back(value);
    }
  }
  return result;
}

/// The order statistic at ⌊q·(n − 1) + ½⌋.
double select(std::vector<double>& values, double q) {
  const auto place = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return values[place];
}

}  // namespace

double evaluate(const Law& law, const std::vector<double>& x) {
  std::array<double, kMaxParameters> parameters{};
  for (size_t j = 0; j < law.parameters.size(); ++j) parameters[j] = law.parameters[j].value;
  return form_of(law)->value(parameters.data(), x.data());
}

absl::StatusOr<Prediction> predict(const Law& law, const std::map<std::string, double>& at) {
  for (const auto& [column, value] : at)
    if (std::find(law.x.begin(), law.x.end(), column) == law.x.end())
      return absl::InvalidArgumentError(
          fmt::format("at: the law has no column '{}'; its columns: {}", column, fmt::join(law.x, ", ")));
  std::vector<double> x;
  for (const std::string& column : law.x) {
    const auto found = at.find(column);
    if (found == at.end())
      return absl::InvalidArgumentError(
          fmt::format("at: '{}' is missing; the law's columns: {}", column, fmt::join(law.x, ", ")));
    if (!(found->second > 0) || !std::isfinite(found->second))
      return absl::InvalidArgumentError(fmt::format("at: {} must be positive, not {}", column, found->second));
    x.push_back(found->second);
  }
  const std::unique_ptr<const Form> form = form_of(law);
  if (!form) return absl::InvalidArgumentError(fmt::format("form: '{}' is unknown to this version", law.form));

  Prediction prediction;
  prediction.value = evaluate(law, x);
  prediction.warnings = law.warnings;
  for (size_t c = 0; c < x.size(); ++c) {
    const double factor = std::max({1.0, x[c] / law.ranges[c].high, law.ranges[c].low / x[c]});
    prediction.extrapolation[law.x[c]] = factor;
    if (factor > kFarExtrapolation)
      prediction.warnings.push_back(fmt::format(
          "{} lies {:.3g} times beyond the fitted range: nothing says that the law holds there", law.x[c], factor));
  }
  if (law.draws.empty()) {
    prediction.low50 = prediction.high50 = prediction.low95 = prediction.high95 = prediction.value;
    prediction.warnings.push_back("fitted without a bootstrap: there are no intervals");
    return prediction;
  }
  std::vector<double> values = measurements(law, *form, x.data());
  prediction.low95 = select(values, 0.025);
  prediction.low50 = select(values, 0.25);
  prediction.high50 = select(values, 0.75);
  prediction.high95 = select(values, 0.975);
  return prediction;
}

}  // namespace scalelaw::analysis
