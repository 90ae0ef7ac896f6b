#include "bench/analysis/known_truth.h"

#include <cmath>

#include "analysis/form.h"

namespace scalelaw::analysis {
namespace {

std::unique_ptr<const Form> form_of(const KnownTruth& study) {
  return make_form(study.form, {KnownTruth::kChance, KnownTruth::kCeiling});
}

/// Every combination of the axes.
std::vector<std::vector<double>> grid(const std::vector<std::vector<double>>& axes) {
  std::vector<std::vector<double>> points = {{}};
  for (const std::vector<double>& values : axes) {
    std::vector<std::vector<double>> longer;
    for (const std::vector<double>& point : points)
      for (double value : values) {
        longer.push_back(point);
        longer.back().push_back(value);
      }
    points = std::move(longer);
  }
  return points;
}

}  // namespace

std::vector<double> axis(double low, double high, int count) {
  std::vector<double> values(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) values[i] = low * std::pow(high / low, static_cast<double>(i) / (count - 1));
  return values;
}

std::vector<double> KnownTruth::truth_at(const std::vector<std::vector<double>>& x) const {
  const auto curve = form_of(*this);
  std::vector<double> values;
  for (const std::vector<double>& point : x) values.push_back(curve->value(parameters.data(), point.data()));
  return values;
}

std::vector<double> KnownTruth::beyond(double factor) const {
  std::vector<double> x;
  for (const std::vector<double>& values : axes) x.push_back(values.back() * factor);
  return x;
}

std::vector<std::string> KnownTruth::columns() const {
  return form_of(*this)->default_columns();
}

FitOptions KnownTruth::options() const {
  FitOptions result;
  result.form = form;
  result.points = "all";
  result.objective = objective;
  if (score) {
    result.chance = kChance;
    result.ceiling = kCeiling;
  }
  return result;
}

double KnownTruth::measure(double truth, Random& random) const {
  return score ? truth + noise * random.normal() : truth * std::exp(noise * random.normal());
}

std::vector<Observation> KnownTruth::run(Random& random) const {
  const std::vector<std::vector<double>> points = grid(axes);
  const std::vector<double> values = truth_at(points);
  const std::vector<std::string> names = columns();
  std::vector<Observation> result;
  for (size_t i = 0; i < points.size(); ++i) {
    Observation o;
    o.run = std::to_string(i);
    for (size_t c = 0; c < names.size(); ++c) {
      if (names[c] == "flops") o.flops = points[i][c];
      if (names[c] == "params") o.params = points[i][c];
      if (names[c] == "samples") o.samples = points[i][c];
    }
    o.value = measure(values[i], random);
    result.push_back(std::move(o));
  }
  return result;
}

KnownTruthCoverage measure_known_truth(const KnownTruth& study, int studies, int bootstrap, int threads) {
  KnownTruthCoverage coverage;
  const std::vector<std::string> columns = study.columns();
  const size_t count = study.parameters.size();
  FitOptions options = study.options();
  options.threads = threads;
  int fitted = 0;
  for (int i = 0; i < studies; ++i) {
    Random random(2025, static_cast<std::uint64_t>(i));
    const std::vector<Observation> observations = study.run(random);
    options.seed = static_cast<std::uint64_t>(i);
    for (const char* intervals : {"percentile", "bca", "profile"}) {
      options.intervals = intervals;
      options.bootstrap = std::string_view(intervals) == "profile" ? 0 : bootstrap;
      const auto law = fit(observations, options);
      if (!law.ok()) {
        ++coverage.refused;
        break;
      }
      std::vector<double>& held = coverage.parameters[intervals];
      held.resize(count);
      for (size_t j = 0; j < count; ++j) {
        const Parameter& p = law->parameters[j];
        held[j] += p.ci95_low <= study.parameters[j] && study.parameters[j] <= p.ci95_high;
      }
      if (std::string_view(intervals) != "percentile") continue;
      ++fitted;
      coverage.warned += !law->warnings.empty();
      for (double factor : {4.0, 10.0}) {
        const std::vector<double> x = study.beyond(factor);
        const double measured = study.measure(study.truth_at({x})[0], random);
        std::map<std::string, double> at;
        for (size_t c = 0; c < columns.size(); ++c) at[columns[c]] = x[c];
        const auto prediction = predict(*law, at);
        coverage.prediction95[factor] += prediction->low95 <= measured && measured <= prediction->high95;
        coverage.prediction50[factor] += prediction->low50 <= measured && measured <= prediction->high50;
      }
    }
  }
  const double n = std::max(1, fitted);
  for (auto& [name, held] : coverage.parameters)
    for (double& rate : held) rate /= n;
  for (auto* rates : {&coverage.prediction50, &coverage.prediction95})
    for (auto& [factor, rate] : *rates) rate /= n;
  coverage.warned /= n;
  return coverage;
}

}  // namespace scalelaw::analysis
