#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/traces.h"
#include "cli/plots/figures.h"
#include "cli/plots/style.h"

namespace scalelaw::cli {
namespace {

std::vector<analysis::IsoFlop> isoflops(const FigureData& data) {
  std::vector<analysis::Observation> runs;
  for (const analysis::Observation& run : data.runs)
    if (run.flops > 0 && run.params > 0) runs.push_back(run);
  std::vector<analysis::IsoFlop> all = analysis::isoflop_minima(runs, data.better());
  std::erase_if(all, [](const analysis::IsoFlop& iso) { return iso.cells.size() < kIsoFlopSizes; });
  return all;
}

std::vector<std::vector<double>> parabola(const analysis::IsoFlop& iso) {
  std::vector<std::vector<double>> rows;
  for (const auto& [params, value] : analysis::parabola(iso, 60)) rows.push_back({params, value, iso.budget_flops});
  return rows;
}

}  // namespace

bool has_isoflops(const FigureData& data) {
  return !isoflops(data).empty();
}

Figure isoflop_figure(const FigureData& data) {
  const std::vector<analysis::IsoFlop> all = isoflops(data);
  const bool scale = all.size() > kMostKeys;
  Range x, y, budgets;
  Plot plot;
  std::vector<std::vector<double>> minima, edges;
  for (size_t i = 0; i < all.size(); ++i) {
    const analysis::IsoFlop& iso = all[i];
    budgets.add(iso.budget_flops);
    std::vector<std::vector<double>> points;
    for (const analysis::Cell& cell : iso.cells) {
      x.add(cell.params);
      y.add(cell.value);
      points.push_back({cell.params, cell.value, iso.budget_flops});
    }
    const std::string color = scale ? "lc palette" : fmt::format("lc rgb \"{}\"", ordered_color(i, all.size()));
    const std::string columns = scale ? "1:2:3" : "1:2";
    const std::string title = scale ? "notitle" : fmt::format("title \"{} FLOPs\"", power_of_ten(iso.budget_flops));
    plot.layer(fmt::format("{} using {} with lines {} {} notitle", plot.data(fmt::format("fit{}", i), parabola(iso)),
                           columns, iso.bracketed ? "lw 1.6" : "lw 1 dt (2,3)", color));
    plot.layer(fmt::format("{} using {} with points pt 7 ps 0.8 {} {}", plot.data(fmt::format("budget{}", i), points),
                           columns, color, title));
    if (iso.bracketed) minima.push_back({iso.best_params, iso.best_value});
  }
  if (!minima.empty()) {
    const std::string points = plot.data("minima", minima);
    if (!scale) plot.layer(fmt::format("{} using 1:2 with lines lw 1.2 dt (6,4) lc rgb \"{}\" notitle", points, kInk));
    plot.layer(fmt::format("{} using 1:2 with points pt 13 ps 1.9 lc rgb \"#ffffff\" notitle", points));
    plot.layer(fmt::format("{} using 1:2 with points pt 12 ps 1.4 lw 1.6 lc rgb \"{}\" title \"{}\"", points, kInk,
                           data.is_score() ? "maximum" : "minimum"));
  }
  x = widened(x, true, 0.06);
  y = widened(y, !data.is_score(), 0.08);
  std::string orders = frame(fmt::format("{}: sizes at equal compute", plain(data.study)),
                             scale ? "outside right top" : "outside right center");
  orders += axis("x", {column_label("params"), x, true, true}) + axis("y", {metric_label(data), y, !data.is_score()});
  if (scale) orders += colour_scale("Compute (FLOPs)", budgets, false);
  return {fmt::format("{}-isoflop", data.metric), plot.script(orders)};
}

}  // namespace scalelaw::cli
