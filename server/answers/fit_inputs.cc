#include "server/answers/fit_inputs.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "proto/law_messages.h"

namespace scalelaw::server {

namespace {
constexpr int kDefaultBootstrap = 1000;

/// The mean that the study's runs report for a bound; unset if none does.
absl::StatusOr<std::optional<double>> reported_bound(const Store& store, const std::string& study,
                                                     const std::string& metric) {
  const auto observations = fit_observations(store, study, metric);
  if (!observations.ok()) return observations.status();
  if (observations->empty()) return std::nullopt;
  double sum = 0;
  for (const v1::Observation& o : *observations) sum += o.value();
  return std::optional(sum / static_cast<double>(observations->size()));
}

absl::StatusOr<analysis::FitOptions> fit_options(const Store& store, const v1::FitRequest& request) {
  analysis::FitOptions options = to_options(request);
  if (options.bootstrap == 0) options.bootstrap = kDefaultBootstrap;
  options.code_version = SCALELAW_VERSION;
  const auto chance = reported_bound(store, request.study(), request.metric() + "_chance");
  if (!chance.ok()) return chance.status();
  const auto ceiling = reported_bound(store, request.study(), request.metric() + "_ceiling");
  if (!ceiling.ok()) return ceiling.status();
  if (!options.chance) options.chance = *chance;
  if (!options.ceiling) options.ceiling = *ceiling;
  // A single bound that a run happens to report is no reason to refuse a law that needs none.
  if (!request.has_chance() && !request.has_ceiling() && options.chance.has_value() != options.ceiling.has_value())
    options.chance = options.ceiling = std::nullopt;
  return options;
}
}  // namespace

absl::StatusOr<std::vector<v1::Observation>> fit_observations(const Store& store, const std::string& study,
                                                              const std::string& metric) {
  absl::StatusOr<std::vector<v1::Observation>> observations = store.observations(study, metric);
  if (observations.ok()) std::erase_if(*observations, [](const v1::Observation& o) { return o.holdout(); });
  return observations;
}

namespace {
/// Those whose FLOPs the options allow; `field` names the metric in what is wrong.
absl::StatusOr<std::vector<analysis::Observation>> runs_of(const Store& store, const std::string& study,
                                                           const char* field, const std::string& metric,
                                                           const analysis::FitOptions& options) {
  const absl::StatusOr<std::vector<v1::Observation>> observations = fit_observations(store, study, metric);
  if (!observations.ok()) return observations.status();
  if (observations->empty()) {
    const auto metrics = store.metrics(study);
    return absl::FailedPreconditionError(fmt::format(
        "{}: no finished run of study {} reports '{}' (held-out runs apart){}", field, study, metric,
        metrics.ok() && !metrics->empty() ? fmt::format("; its runs report {}", fmt::join(*metrics, ", ")) : ""));
  }
  std::vector<analysis::Observation> runs;
  for (const v1::Observation& o : *observations)
    if (analysis::within_flops(options, o.flops())) runs.push_back(to_analysis(o));
  return runs;
}
}  // namespace

absl::StatusOr<FitInputs> fit_inputs(const Store& store, const v1::FitRequest& request) {
  if (absl::Status status = check_study(store, request.study()); !status.ok()) return status;
  if (request.metric().empty()) return absl::InvalidArgumentError("metric: is missing");
  FitInputs inputs;
  absl::StatusOr<analysis::FitOptions> options = fit_options(store, request);
  if (!options.ok()) return options.status();
  inputs.options = *std::move(options);
  auto runs = runs_of(store, request.study(), "metric", request.metric(), inputs.options);
  if (!runs.ok()) return runs.status();
  inputs.runs = *std::move(runs);
  if (request.loss().empty()) return inputs;
  auto losses = runs_of(store, request.study(), "loss", request.loss(), inputs.options);
  if (!losses.ok()) return losses.status();
  inputs.losses = *std::move(losses);
  return inputs;
}

absl::Status check_study(const Store& store, const std::string& study) {
  const absl::StatusOr<std::vector<std::string>> studies = store.studies();
  if (!studies.ok()) return studies.status();
  if (std::find(studies->begin(), studies->end(), study) != studies->end()) return absl::OkStatus();
  return absl::NotFoundError(
      studies->empty() ? fmt::format("study: there is no study '{}'; nothing has been submitted yet", study)
                       : fmt::format("study: there is no study '{}'; studies: {}", study, fmt::join(*studies, ", ")));
}

}  // namespace scalelaw::server
