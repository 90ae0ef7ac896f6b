#include "bench/analysis/simulated_study.h"

#include <algorithm>

namespace scalelaw::analysis {
namespace {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

}  // namespace

Coverage measure_coverage(const SimulatedStudy& study, int studies, int bootstrap, int threads) {
  FitOptions options;
  options.form = study.form;
  options.bootstrap = bootstrap;
  options.threads = threads;
  if (study.score) {
    options.chance = SimulatedStudy::kChance;
    options.ceiling = SimulatedStudy::kCeiling;
  }
  const double flops = study.largest_budget() * study.extrapolation;
  const double params = study.best_params(flops);
  Coverage coverage;
  coverage.studies = studies;
  std::vector<double> widths, errors;
  for (int i = 0; i < studies; ++i) {
    Random random(2024, static_cast<std::uint64_t>(i));
    const std::vector<Observation> observations = study.run(random);
    const double measured = study.measure(params, flops, random);
    options.seed = static_cast<std::uint64_t>(i);
    const auto law = fit(observations, options);
    if (!law.ok()) {
      ++coverage.refused;
      continue;
    }
    coverage.warned += !law->warnings.empty();
    const auto prediction = predict(*law, {{"flops", flops}});
    coverage.inside50 += prediction->low50 <= measured && measured <= prediction->high50;
    coverage.inside95 += prediction->low95 <= measured && measured <= prediction->high95;
    const double truth = study.truth(params, flops);
    widths.push_back((prediction->high95 - prediction->low95) / truth);
    errors.push_back(std::abs(prediction->value / truth - 1));
  }
  const double fitted = studies - coverage.refused;
  if (fitted > 0) {
    coverage.inside50 /= fitted;
    coverage.inside95 /= fitted;
    coverage.warned /= fitted;
  }
  coverage.width95 = median(std::move(widths));
  coverage.error = median(std::move(errors));
  return coverage;
}

}  // namespace scalelaw::analysis
