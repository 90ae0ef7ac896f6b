#include "cli/plots/figure_set.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "analysis/refit.h"
#include "analysis/selection.h"
#include "cli/plots/figures.h"
#include "proto/choice_answers.h"

namespace scalelaw::cli {
namespace {

using Drawn = absl::StatusOr<std::vector<Figure>>;

Drawn compute(const FigureData& data) {
  if (std::any_of(data.runs.begin(), data.runs.end(),
                  [](const analysis::Observation& run) { return !(run.flops > 0); }))
    return absl::FailedPreconditionError("the runs' FLOPs are not known");
  return std::vector{compute_figure(data)};
}

Drawn isoflop(const FigureData& data) {
  if (!has_isoflops(data))
    return absl::FailedPreconditionError(fmt::format("no budget has runs of {} sizes", kIsoFlopSizes));
  return std::vector{isoflop_figure(data)};
}

absl::Status no_surface(const FigureData& data) {
  return absl::FailedPreconditionError(
      fmt::format("there is no law of {} over size and data; fit one with --metric {} --x params,samples", data.metric,
                  data.metric));
}

Drawn contours(const FigureData& data) {
  if (!data.surface) return no_surface(data);
  absl::StatusOr<Figure> figure = contour_figure(data);
  if (!figure.ok()) return figure.status();
  return std::vector{*std::move(figure)};
}

// The laws that there are, with names for their figures.
std::vector<std::pair<std::string, const analysis::Law*>> laws(const FigureData& data) {
  std::vector<std::pair<std::string, const analysis::Law*>> all;
  if (data.curve) all.emplace_back("compute", &*data.curve);
  if (data.surface) all.emplace_back("surface", &*data.surface);
  return all;
}

Drawn residuals(const FigureData& data) {
  std::vector<Figure> figures;
  for (const auto& [name, law] : laws(data)) figures.push_back(residual_figure(data, *law, name));
  if (figures.empty()) return absl::FailedPreconditionError(fmt::format("there is no law of {}", data.metric));
  return figures;
}

// The law's own fit once more, with profiles and without draws.
Drawn profiles(const FigureData& data) {
  std::vector<Figure> figures;
  for (const auto& [name, law] : laws(data)) {
    analysis::FitOptions options = analysis::options_of(*law);
    options.bootstrap = 0;
    options.intervals = "profile";
    const absl::StatusOr<analysis::Law> again = analysis::fit(data.runs, options);
    if (!again.ok()) return again.status();
    figures.push_back(profile_figure(data, *again, name));
  }
  if (figures.empty()) return absl::FailedPreconditionError(fmt::format("there is no law of {}", data.metric));
  return figures;
}

Drawn extrapolation(const FigureData& data) {
  analysis::FitOptions fit;
  fit.metric = data.metric;
  fit.chance = data.chance;
  fit.ceiling = data.ceiling;
  analysis::SelectionOptions options;
  options.bootstrap = 0;
  const absl::StatusOr<analysis::Selection> selection =
      analysis::select_form(data.runs, possible_fits(data.runs, fit), options);
  if (!selection.ok()) return selection.status();
  return std::vector{extrapolation_figure(data, *selection)};
}

using Maker = Drawn (*)(const FigureData&);
const std::vector<std::pair<std::string, Maker>>& makers() {
  static const std::vector<std::pair<std::string, Maker>> all = {
      {"compute", compute},     {"isoflop", isoflop},   {"contours", contours},
      {"residuals", residuals}, {"profiles", profiles}, {"extrapolation", extrapolation}};
  return all;
}

}  // namespace

const std::vector<std::string>& figure_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [name, maker] : makers()) all.push_back(name);
    return all;
  }();
  return names;
}

FigureSet make_figures(const FigureData& data, const std::vector<std::string>& names) {
  FigureSet set;
  for (const auto& [name, maker] : makers()) {
    if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
    Drawn drawn = maker(data);
    if (drawn.ok()) {
      std::move(drawn->begin(), drawn->end(), std::back_inserter(set.figures));
    } else {
      set.missing.push_back(fmt::format("{} of {}: {}", name, data.metric, std::string(drawn.status().message())));
    }
  }
  return set;
}

}  // namespace scalelaw::cli
