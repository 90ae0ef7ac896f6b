#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/traces.h"
#include "cli/plots/figures.h"
#include "cli/plots/style.h"

namespace scalelaw::cli {
namespace {

// The mean of points that are neighbours in x: where it leaves 0, the form misses the data.
std::vector<std::vector<double>> running_mean(std::vector<std::pair<double, double>> points) {
  constexpr size_t kLeast = 24, kBins = 8;
  std::vector<std::vector<double>> rows;
  if (points.size() < kLeast) return rows;
  std::sort(points.begin(), points.end());
  for (size_t bin = 0; bin < kBins; ++bin) {
    const size_t from = bin * points.size() / kBins, to = (bin + 1) * points.size() / kBins;
    double log_x = 0, mean = 0;
    for (size_t i = from; i < to; ++i) {
      log_x += std::log(points[i].first) / static_cast<double>(to - from);
      mean += points[i].second / static_cast<double>(to - from);
    }
    rows.push_back({std::exp(log_x), mean});
  }
  return rows;
}

std::string panel(const std::string& name, const Axis& x, const Axis& y, const std::vector<double>& noise,
                  const std::vector<std::pair<double, double>>& points) {
  Plot plot;
  std::vector<std::vector<double>> rows;
  for (const auto& [at, value] : points) rows.push_back({at, value});
  plot.layer(fmt::format(
      "{} using 1:2:3 with filledcurves fc rgb \"{}\" fs transparent solid 0.12 noborder title "
      "\"95 % of the noise\"",
      plot.data(name + "_noise", {{x.range.low, noise[0], noise[1]}, {x.range.high, noise[0], noise[1]}}), kLawColor));
  plot.layer(fmt::format("{} using 1:2 with lines lw 1.2 lc rgb \"{}\" notitle",
                         plot.data(name + "_zero", {{x.range.low, 0}, {x.range.high, 0}}), kFaint));
  plot.layer(
      fmt::format("{} using 1:2 with points pt 7 ps 0.55 lc rgb \"#60414487\" title \"point\"", plot.data(name, rows)));
  if (const auto mean = running_mean(points); !mean.empty())
    plot.layer(fmt::format("{} using 1:2 with linespoints pt 7 ps 0.5 lw 2 lc rgb \"{}\" title \"mean of neighbours\"",
                           plot.data(name + "_mean", mean), kLawColor));
  return plot.script(axis("x", x) + axis("y", y));
}

}  // namespace

Figure residual_figure(const FigureData& data, const analysis::Law& law, const std::string& name) {
  const std::vector<analysis::Residual> all = analysis::residuals(law);
  const bool log = law.objective.residual == "log";
  const std::vector<double> noise =
      log ? std::vector{100 * std::expm1(-1.96 * law.sigma), 100 * std::expm1(1.96 * law.sigma)}
          : std::vector{-1.96 * law.sigma, 1.96 * law.sigma};
  Range y;
  for (const analysis::Residual& residual : all) y.add(residual.value);
  for (const double bound : noise) y.add(bound);
  y = widened(y, false, 0.06);
  const std::string y_label = log ? "Measured above fitted (%)" : "Measured − fitted";

  Figure figure;
  figure.name = fmt::format("{}-residuals-{}", data.metric, name);
  figure.script =
      panels(figure, fmt::format("{}: residuals of {} by {}", plain(data.study), metric_name(data), plain(law.form)),
             static_cast<int>(law.x.size()) + 1);
  int drawn = 0;
  const auto add_panel = [&](const std::string& panel_name, const std::string& label, bool log_scale, bool counts,
                             const auto& x_of) {
    Range x;
    std::vector<std::pair<double, double>> points;
    for (const analysis::Residual& residual : all) {
      points.emplace_back(x_of(residual), residual.value);
      x.add(points.back().first);
    }
    figure.script += panel(panel_name, {label, widened(x, log_scale, 0.04), log_scale, counts},
                           Axis{drawn++ % kPanelColumns == 0 ? y_label : "", y}, noise, points);
    figure.script += "unset key\n";  // one for all panels
  };
  add_panel("fitted", "Fitted " + metric_name(data), log, false, [](const analysis::Residual& r) { return r.fitted; });
  for (size_t c = 0; c < law.x.size(); ++c)
    add_panel(fmt::format("column{}", c), column_label(law.x[c]), true, is_count(law.x[c]),
              [c](const analysis::Residual& r) { return r.x[c]; });
  figure.script += "unset multiplot\n";
  return figure;
}

}  // namespace scalelaw::cli
