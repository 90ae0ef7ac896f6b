#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/status/status.h"
#include "analysis/form.h"
#include "analysis/law.h"
#include "analysis/predictor.h"
#include "analysis/random.h"

namespace scalelaw::analysis {
namespace {

/// Beyond this factor nobody has checked that the law still holds.
constexpr double kFarExtrapolation = 10;
/// Measurements that each draw stands for.
constexpr int kPerDraw = 4;

std::unique_ptr<const Form> form_named(const Law& law, std::string_view name) {
  return make_form(name, law.chance && law.ceiling ? Bounds{*law.chance, *law.ceiling} : Bounds{}, law.x);
}

/// The j-th of kPerDraw standard normal numbers of draw d: quantiles at evenly spaced probabilities, shifted from draw
/// to draw by the golden ratio, so that all draws together fill the normal distribution evenly. Documented in
/// docs/laws.md, as other programs must find the same interval.
double noise_quantile(size_t d, int j) {
  constexpr double kGolden = 0.61803398874989485;
  const double shift = std::fmod((static_cast<double>(d) + 0.5) * kGolden, 1.0);
  return normal_quantile((j + shift) / kPerDraw);
}

/// The values at the ascending places, where they would stand if all were sorted.
std::array<double, 4> order_statistics(std::vector<double>& values, const std::array<double, 4>& quantiles) {
  std::array<double, 4> result{};
  auto from = values.begin();
  for (size_t i = 0; i < quantiles.size(); ++i) {
    const auto place =
        values.begin() + static_cast<std::ptrdiff_t>(quantiles[i] * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(from, place, values.end());
    result[i] = *place;
    from = place;
  }
  return result;
}

}  // namespace

std::unique_ptr<const Form> form_of(const Law& law) {
  return form_named(law, law.form);
}

double evaluate(const Law& law, const std::vector<double>& x) {
  std::array<double, kMaxParameters> parameters{};
  for (size_t j = 0; j < law.parameters.size(); ++j) parameters[j] = law.parameters[j].value;
  return form_of(law)->value(parameters.data(), x.data());
}

Predictor::Predictor(const Law& law) : law_(law), form_(form_of(law)) {
  const bool log = law.objective.residual == "log";
  const auto add = [&](std::string_view form, const std::vector<Draw>& draws, size_t count) {
    Component component{form_named(law, form), draws.data(), count, {}};
    component.noise.reserve(count * kPerDraw);
    for (size_t d = 0; d < count; ++d)
      for (int j = 0; j < kPerDraw; ++j) {
        const double noise = draws[d].sigma * noise_quantile(d, j);
        component.noise.push_back(log ? std::exp(noise) : noise);
      }
    components_.push_back(std::move(component));
  };
  add(law.form, law.draws, law.rivals.empty() ? law.draws.size() : static_cast<size_t>(law.own_draws));
  for (const Rival& rival : law.rivals) add(rival.form, rival.draws, rival.draws.size());
}

absl::StatusOr<std::vector<double>> Predictor::place(const std::map<std::string, double>& at) const {
  for (const auto& [column, value] : at)
    if (std::find(law_.x.begin(), law_.x.end(), column) == law_.x.end())
      return absl::InvalidArgumentError(
          fmt::format("at: the law has no column '{}'; its columns: {}", column, fmt::join(law_.x, ", ")));
  std::vector<double> x;
  for (const std::string& column : law_.x) {
    const auto found = at.find(column);
    if (found == at.end())
      return absl::InvalidArgumentError(
          fmt::format("at: '{}' is missing; the law's columns: {}", column, fmt::join(law_.x, ", ")));
    if (!(found->second > 0) || !std::isfinite(found->second))
      return absl::InvalidArgumentError(fmt::format("at: {} must be positive, not {}", column, found->second));
    x.push_back(found->second);
  }
  return x;
}

/// Of one new run at x.
std::vector<double> Predictor::measurements(const double* x) const {
  std::vector<double> values;
  const bool log = law_.objective.residual == "log";
  // The law stays below the ceiling, a measurement with its noise need not; but a share is never beyond 0 or 1.
  const bool share = law_.chance && law_.ceiling && *law_.chance >= 0 && *law_.ceiling <= 1;
  for (const Component& component : components_)
    for (size_t d = 0; d < component.count; ++d) {
      const double curve = component.form->value(component.draws[d].parameters.data(), x);
      for (size_t i = d * kPerDraw; i < (d + 1) * kPerDraw; ++i) {
        const double value = log ? curve * component.noise[i] : curve + component.noise[i];
        values.push_back(share ? std::clamp(value, 0.0, 1.0) : value);
      }
    }
  return values;
}

absl::StatusOr<Prediction> Predictor::predict(const std::map<std::string, double>& at) const {
  if (!form_) return absl::InvalidArgumentError(fmt::format("form: '{}' is unknown to this version", law_.form));
  const absl::StatusOr<std::vector<double>> x = place(at);
  if (!x.ok()) return x.status();

  Prediction prediction;
  prediction.value = evaluate(law_, *x);
  for (size_t c = 0; c < x->size(); ++c) {
    const double factor = std::max({1.0, (*x)[c] / law_.ranges[c].high, law_.ranges[c].low / (*x)[c]});
    prediction.extrapolation[law_.x[c]] = factor;
    if (factor > kFarExtrapolation)
      prediction.warnings.push_back(fmt::format(
          "{} lies {:.3g} times beyond the fitted range: nothing says that the law holds there", law_.x[c], factor));
  }
  if (law_.draws.empty()) {
    prediction.low50 = prediction.high50 = prediction.low95 = prediction.high95 = prediction.value;
    prediction.warnings.push_back("fitted without a bootstrap: there are no intervals");
    return prediction;
  }
  std::vector<double> values = measurements(x->data());
  const auto [low95, low50, high50, high95] = order_statistics(values, {0.025, 0.25, 0.75, 0.975});
  prediction.low95 = low95;
  prediction.low50 = low50;
  prediction.high50 = high50;
  prediction.high95 = high95;
  return prediction;
}

absl::StatusOr<Prediction> predict(const Law& law, const std::map<std::string, double>& at) {
  return Predictor(law).predict(at);
}

}  // namespace scalelaw::analysis
