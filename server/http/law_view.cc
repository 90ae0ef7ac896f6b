#include "server/http/law_view.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analysis/frontier.h"
#include "analysis/surface.h"
#include "analysis/traces.h"
#include "proto/law_messages.h"
#include "proto/message_json.h"

namespace scalelaw::server {

namespace {
using nlohmann::ordered_json;

constexpr int kBandSteps = 120;
constexpr int kParabolaSteps = 40;
constexpr int kGridSteps = 60;
constexpr int kPathSteps = 40;
// Sizes that a budget needs for its curve to be one.
constexpr size_t kIsoFlopSizes = 3;
// How far beyond the largest run curves are drawn and budgets can be asked for.
constexpr double kBeyond = 100;

ordered_json number(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
}
ordered_json row(std::initializer_list<double> values) {
  ordered_json list = ordered_json::array();
  for (const double value : values) list.push_back(number(value));
  return list;
}
ordered_json estimate(const analysis::Estimate& e) {
  return row({e.value, e.low95, e.high95});
}

struct Extent {
  double low = INFINITY;
  double high = -INFINITY;
  void add(double value) {
    if (!(value > 0) || !std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  double at(double share) const { return low * std::pow(high / low, share); }
};

ordered_json band_rows(const analysis::Law& law, const Extent& flops) {
  ordered_json rows = ordered_json::array();
  for (const auto& [at, p] : analysis::prediction_band(law, flops.low, kBeyond * flops.high, kBandSteps))
    rows.push_back(row({at, p.value, p.low50, p.high50, p.low95, p.high95}));
  return rows;
}

ordered_json residual_rows(const analysis::Law& law) {
  ordered_json rows = ordered_json::array();
  for (const analysis::Residual& residual : analysis::residuals(law)) {
    ordered_json one = row({residual.fitted, residual.value});
    for (const double x : residual.x) one.push_back(number(x));
    rows.push_back(std::move(one));
  }
  return rows;
}

/// The runs that no cheaper one beats, as (FLOPs, value).
ordered_json frontier_rows(const std::vector<analysis::Observation>& runs, analysis::Better better) {
  ordered_json rows = ordered_json::array();
  std::optional<double> best;
  for (const analysis::Cell& cell : analysis::frontier(runs, better)) {
    if (best && (better == analysis::Better::kHigher ? cell.value <= *best : cell.value >= *best)) continue;
    best = cell.value;
    rows.push_back(row({cell.flops, cell.value}));
  }
  return rows;
}

ordered_json isoflops(const std::vector<analysis::Observation>& runs, analysis::Better better) {
  ordered_json budgets = ordered_json::array();
  for (const analysis::IsoFlop& iso : analysis::isoflop_minima(runs, better)) {
    if (iso.cells.size() < kIsoFlopSizes) continue;
    ordered_json points = ordered_json::array(), curve = ordered_json::array();
    for (const analysis::Cell& cell : iso.cells) points.push_back(row({cell.params, cell.value}));
    for (const auto& [params, value] : analysis::parabola(iso, kParabolaSteps)) curve.push_back(row({params, value}));
    budgets.push_back({{"flops", iso.budget_flops},
                       {"points", std::move(points)},
                       {"curve", std::move(curve)},
                       {"best", row({iso.best_params, iso.best_value})},
                       {"bracketed", iso.bracketed},
                       {"reason", iso.reason}});
  }
  return budgets;
}

absl::StatusOr<ordered_json> surface_of(const analysis::Law& law, const std::vector<analysis::Observation>& runs,
                                        const Extent& flops) {
  analysis::SurfaceOptions options;
  if (const auto cost = analysis::fit_training_cost(runs); cost.ok()) options.cost = *cost;
  const absl::StatusOr<analysis::Surface> surface = analysis::Surface::make(law, options);
  if (!surface.ok()) return surface.status();
  const auto path = analysis::best_path(law, options, flops.low, kBeyond * flops.high, kPathSteps);
  if (!path.ok()) return path.status();
  Extent params, samples;
  for (const analysis::Observation& run : runs) {
    params.add(run.params);
    samples.add(run.samples);
  }
  ordered_json best = ordered_json::array();
  for (const auto& [spent, optimum] : *path) {
    // Budgets to ten times the largest are drawn; further ones are only asked for.
    if (spent <= 10 * flops.high) {
      params.add(optimum.params.value);
      samples.add(optimum.samples.value);
    }
    best.push_back({{"flops", spent},
                    {"params", estimate(optimum.params)},
                    {"samples", estimate(optimum.samples)},
                    {"value", row({optimum.prediction.value, optimum.prediction.low95, optimum.prediction.high95})}});
  }
  std::vector<double> parameters;
  for (const analysis::Parameter& parameter : law.parameters) parameters.push_back(parameter.value);
  ordered_json values = ordered_json::array();
  for (int j = 0; j <= kGridSteps; ++j)
    for (int i = 0; i <= kGridSteps; ++i)
      values.push_back(number(surface->value(parameters, params.at(static_cast<double>(i) / kGridSteps),
                                             samples.at(static_cast<double>(j) / kGridSteps))));
  return ordered_json{{"cost", {{"factor", options.cost.factor}, {"exponent", options.cost.exponent}}},
                      {"steps", kGridSteps},
                      {"params", row({params.low, params.high})},
                      {"samples", row({samples.low, samples.high})},
                      {"values", std::move(values)},
                      {"path", std::move(best)}};
}

bool is_surface(const analysis::Law& law) {
  std::vector<std::string> columns = law.x;
  std::sort(columns.begin(), columns.end());
  return columns == std::vector<std::string>{"params", "samples"};
}
}  // namespace

ordered_json law_view(const KnownLaw& known, const std::vector<v1::Observation>& observations) {
  const analysis::Law& law = known.law;
  ordered_json shown = ordered_json::array(), held_out = ordered_json::array();
  std::vector<analysis::Observation> runs, sized;
  Extent flops;
  for (const v1::Observation& o : observations) {
    (o.holdout() ? held_out : shown).push_back(to_json(o));
    if (o.holdout() || !(o.flops() > 0)) continue;
    runs.push_back(to_analysis(o));
    if (o.params() > 0) sized.push_back(runs.back());
    flops.add(o.flops());
  }
  const bool score = law.chance.has_value() || law.ceiling.has_value();
  const auto better = score ? analysis::Better::kHigher : analysis::Better::kLower;
  ordered_json view = {{"law", to_json(LawAnswers::message_of(known))},
                       {"runs", std::move(shown)},
                       {"held_out", std::move(held_out)},
                       {"score", score}};
  if (law.chance) view["chance"] = *law.chance;
  if (law.ceiling) view["ceiling"] = *law.ceiling;
  view["noise"] = number(law.sigma);
  view["residuals"] = residual_rows(law);
  view["frontier"] = frontier_rows(runs, better);
  view["isoflop"] = isoflops(sized, better);
  if (flops.empty()) return view;
  if (law.x == std::vector<std::string>{"flops"}) view["band"] = band_rows(law, flops);
  if (is_surface(law)) {
    // A surface without a best size is shown without one, and says why.
    if (auto surface = surface_of(law, sized, flops); surface.ok()) {
      view["surface"] = *std::move(surface);
    } else {
      view["no_surface"] = std::string(surface.status().message());
    }
  }
  return view;
}

}  // namespace scalelaw::server
