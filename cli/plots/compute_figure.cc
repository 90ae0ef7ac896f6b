#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "analysis/traces.h"
#include "cli/format.h"
#include "cli/plots/figures.h"
#include "cli/plots/style.h"

namespace scalelaw::cli {
namespace {

void add_law(const FigureData& data, const std::vector<analysis::BandPoint>& points, Plot& plot) {
  if (points.empty()) return;
  std::vector<std::vector<double>> rows;
  for (const auto& [flops, p] : points) rows.push_back({flops, p.value, p.low50, p.high50, p.low95, p.high95});
  const std::string law = plot.data("law", rows);
  if (!data.curve->draws.empty())
    for (const auto& [columns, opacity, share] : {std::tuple{"1:5:6", 0.12, 95}, {"1:3:4", 0.20, 50}})
      plot.layer(
          fmt::format("{} using {} with filledcurves fc rgb \"{}\" fs transparent solid {} noborder title "
                      "\"{} % prediction\"",
                      law, columns, kLawColor, opacity, share));
  // Solid where runs support it, dashed beyond.
  const double fitted_to = data.curve->ranges[0].high;
  plot.layer(fmt::format("{} using ($1<={:.6g}*1.02?$1:NaN):2 with lines lw 2.2 lc rgb \"{}\" title \"fitted law\"",
                         law, fitted_to, kLawColor));
  plot.layer(
      fmt::format("{} using ($1>={:.6g}*0.98?$1:NaN):2 with lines lw 2.2 dt (8,5) lc rgb \"{}\" title "
                  "\"extrapolated\"",
                  law, fitted_to, kLawColor));
}

// A point that a cheaper one beats is left out.
void add_frontier(const FigureData& data, Plot& plot) {
  std::vector<std::vector<double>> rows;
  for (const analysis::Cell& cell : analysis::frontier(data.runs, data.better()))
    if (rows.empty() || (data.is_score() ? cell.value > rows.back()[1] : cell.value < rows.back()[1]))
      rows.push_back({cell.flops, cell.value});
  if (rows.size() < 2) return;
  plot.layer(
      fmt::format("{} using 1:2 with lines lw 1.2 lc rgb \"#555555\" title \"frontier\"", plot.data("frontier", rows)));
}

// One entry of the key per size where there are few, else colours along a scale.
void add_runs(const FigureData& data, const std::vector<double>& sizes, Plot& plot) {
  if (sizes.size() > kMostKeys) {
    std::vector<std::vector<double>> rows;
    for (const analysis::Observation& run : data.runs) rows.push_back({run.flops, run.value, run.params});
    plot.layer(fmt::format("{} using 1:2:3 with points pt 7 ps 0.7 lc palette title \"run\"", plot.data("runs", rows)));
    return;
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    std::vector<std::vector<double>> rows;
    for (const analysis::Observation& run : data.runs)
      if (run.params == sizes[i]) rows.push_back({run.flops, run.value});
    const std::string title = sizes[i] > 0 ? format_count(sizes[i]) + (i == 0 ? " params" : "") : "run";
    plot.layer(fmt::format("{} using 1:2 with points pt 7 ps 0.85 lc rgb \"{}\" title \"{}\"",
                           plot.data(fmt::format("size{}", i), rows), ordered_color(i, sizes.size()), title));
  }
}

void add_held_out(const FigureData& data, Plot& plot) {
  std::vector<std::vector<double>> rows;
  for (const analysis::Observation& run : data.held_out) rows.push_back({run.flops, run.value});
  if (rows.empty()) return;
  const std::string points = plot.data("heldout", rows);
  // A white rim keeps the mark apart from the band.
  plot.layer(fmt::format("{} using 1:2 with points pt 13 ps 2.1 lc rgb \"#ffffff\" notitle", points));
  plot.layer(
      fmt::format("{} using 1:2 with points pt 13 ps 1.5 lc rgb \"{}\" title \"held-out run\"", points, kHeldOutColor));
}

// Labelled where a rising curve is not: the ceiling at the left, chance at the right.
void add_bounds(const FigureData& data, const Range& x, Plot& plot) {
  const auto line = [&](const char* name, std::optional<double> value, double label_at, const char* alignment) {
    if (!value) return;
    const std::string block = plot.data(name, {{x.low, *value}, {x.high, *value}});
    plot.layer(fmt::format("{} using 1:2 with lines lw 1.2 dt (3,4) lc rgb \"{}\" notitle", block, kFaint));
    const std::string label =
        plot.data(fmt::format("{}_label", name), {{x.low * std::pow(x.high / x.low, label_at), *value}});
    plot.layer(
        fmt::format("{} using 1:2:(\"{} {:.2f}\") with labels {} offset 0,0.6 font \",12\" tc rgb \"#555555\" notitle",
                    label, name, *value, alignment));
  };
  line("chance", data.chance, 0.98, "right");
  line("ceiling", data.ceiling, 0.02, "left");
}

}  // namespace

Figure compute_figure(const FigureData& data) {
  Range x, y, params;
  std::set<double> sizes;
  for (const auto* runs : {&data.runs, &data.held_out})
    for (const analysis::Observation& run : *runs) {
      x.add(run.flops);
      y.add(run.value);
    }
  for (const analysis::Observation& run : data.runs) {
    sizes.insert(run.params);
    params.add(run.params);
  }
  // From the smallest run to beyond the largest.
  std::vector<analysis::BandPoint> points;
  if (data.curve) points = analysis::prediction_band(*data.curve, x.low, 2 * x.high, 80);
  for (const auto& [flops, prediction] : points) {
    x.add(flops);
    y.add(prediction.value);
  }
  if (data.chance) y.add(*data.chance);
  if (data.ceiling) y.add(*data.ceiling);
  x = widened(x, true, 0.03);
  y = widened(y, !data.is_score(), 0.08);

  Plot plot;
  add_bounds(data, x, plot);
  add_law(data, points, plot);
  add_frontier(data, plot);
  add_runs(data, {sizes.begin(), sizes.end()}, plot);
  add_held_out(data, plot);
  const bool scale = sizes.size() > kMostKeys;
  std::string orders = frame(fmt::format("{}: {} by compute", plain(data.study), metric_name(data)),
                             scale ? "outside right top" : "outside right center");
  orders += axis("x", {column_label("flops"), x, true}) + axis("y", {metric_label(data), y, !data.is_score()});
  if (scale) orders += colour_scale(column_label("params"), params, true);
  return {fmt::format("{}-vs-compute", data.metric), plot.script(orders)};
}

}  // namespace scalelaw::cli
