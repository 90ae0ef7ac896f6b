#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/optimal.h"
#include "analysis/surface.h"
#include "analysis/traces.h"
#include "cli/plots/figures.h"
#include "cli/plots/style.h"

namespace scalelaw::cli {
namespace {

constexpr int kGrid = 80;

double between(const Range& range, double share) {
  return range.low * std::pow(range.high / range.low, share);
}

// Levels that stand about equally far apart on paper, as numbers of three digits.
std::vector<double> levels(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  std::set<double> round;
  for (const double share : {0.02, 0.08, 0.16, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.93}) {
    const double value = values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
    const double unit = std::pow(10, std::floor(std::log10(std::abs(value))) - 2);
    round.insert(std::round(value / unit) * unit);
  }
  return {round.begin(), round.end()};
}

// Where the right edge meets a level, by bisection: the curve is monotone in the data. NaN where it does not.
double samples_at(const analysis::Surface& surface, const std::vector<double>& parameters, double params,
                  const Range& samples, double level) {
  const auto above = [&](double at) { return surface.value(parameters, params, at) > level; };
  double low = std::log(samples.low), high = std::log(samples.high);
  const bool falls = above(samples.low);
  if (above(samples.high) == falls) return std::nan("");
  for (int step = 0; step < 50; ++step) (above(std::exp((low + high) / 2)) == falls ? low : high) = (low + high) / 2;
  return std::exp(low);
}

// The best size for compute from the least to ten times the most that was spent.
struct Path {
  std::vector<std::vector<double>> line;
  /// A closed outline of the 95 % interval.
  std::vector<std::vector<double>> interval;
  /// Where a power of ten of FLOPs is spent.
  std::vector<std::vector<double>> decades;
};

absl::StatusOr<Path> best_path(const analysis::Law& law, const analysis::SurfaceOptions& options, const Range& flops) {
  constexpr int kSteps = 24;
  const auto points = analysis::best_path(law, options, flops.low, flops.high, kSteps);
  if (!points.ok()) return points.status();
  Path path;
  std::vector<std::vector<double>> back;
  for (const auto& [spent, best] : *points) {
    const auto place = [&](double params) { return std::vector{params, spent / options.cost.per_sample(params)}; };
    path.line.push_back(place(best.params.value));
    if (std::isfinite(best.params.low95) && best.params.low95 > 0) path.interval.push_back(place(best.params.low95));
    if (std::isfinite(best.params.high95)) back.push_back(place(best.params.high95));
  }
  path.interval.insert(path.interval.end(), back.rbegin(), back.rend());
  for (double exponent = std::ceil(std::log10(flops.low)); exponent <= std::log10(flops.high); ++exponent) {
    analysis::OptimalOptions question;
    question.surface = options;
    question.flops = std::pow(10, exponent);
    question.off_factors.clear();
    if (const auto best = analysis::optimal(law, question); best.ok())
      path.decades.push_back({best->params.value, best->samples.value, exponent});
  }
  return path;
}

}  // namespace

absl::StatusOr<Figure> contour_figure(const FigureData& data) {
  const analysis::Law& law = *data.surface;
  analysis::SurfaceOptions options;
  if (const auto cost = analysis::fit_training_cost(data.runs); cost.ok()) options.cost = *cost;
  const absl::StatusOr<analysis::Surface> surface = analysis::Surface::make(law, options);
  if (!surface.ok()) return surface.status();
  std::vector<double> parameters;
  for (const analysis::Parameter& parameter : law.parameters) parameters.push_back(parameter.value);

  Range params, samples, flops;
  std::vector<std::vector<double>> runs;
  for (const analysis::Observation& run : data.runs) {
    runs.push_back({run.params, run.samples});
    params.add(run.params);
    samples.add(run.samples);
    flops.add(options.cost.per_sample(run.params) * run.samples);
  }
  flops.high *= 10;
  const absl::StatusOr<Path> path = best_path(law, options, flops);
  if (!path.ok()) return path.status();
  for (const std::vector<double>& point : path->line) {
    params.add(point[0]);
    samples.add(point[1]);
  }
  params = widened(params, true, 0.04);
  samples = widened(samples, true, 0.04);

  Plot plot;
  std::vector<std::vector<double>> grid;
  std::vector<double> values;
  for (int i = 0; i <= kGrid; ++i) {
    for (int j = 0; j <= kGrid; ++j) {
      const double n = between(params, static_cast<double>(i) / kGrid),
                   d = between(samples, static_cast<double>(j) / kGrid);
      values.push_back(surface->value(parameters, n, d));
      grid.push_back({std::log10(n), std::log10(d), values.back()});
    }
    grid.emplace_back();
  }
  const std::vector<double> drawn = levels(values);
  std::string orders = frame(fmt::format("{}: {} by size and data", plain(data.study), metric_name(data)));
  // The contours are found in logs, before the axes are set.
  orders += fmt::format(
      "set contour base\nunset surface\nset cntrparam levels discrete {:.6g}\nset table $contours\n"
      "splot {} using 1:2:3 with lines\nunset table\nunset contour\nset surface\n",
      fmt::join(drawn, ", "), plot.data("grid", grid));
  orders += axis("x", {column_label("params"), params, true, true}) +
            axis("y", {column_label("samples"), samples, true, true});
  orders +=
      "set rmargin at screen 0.665\nset lmargin at screen 0.14\nset ylabel offset -0.8,0\n"
      "set key at screen 0.745, screen 0.88 left top\nset style textbox opaque noborder margins 0.4,0.4 fillcolor rgb "
      "\"#ffffff\"\n";
  for (const double level : drawn)
    if (const double at = samples_at(*surface, parameters, params.high, samples, level); std::isfinite(at))
      orders += fmt::format("set label \"{:.4g}\" at graph 1.012, first {:.6g} left font \",12\" tc rgb \"#414487\"\n",
                            level, at);

  std::vector<std::vector<double>> equal;
  for (double exponent = std::ceil(std::log10(flops.low)) - 2; exponent <= std::log10(flops.high) + 2; ++exponent) {
    for (const double share : {0.0, 1.0}) {
      const double n = between(params, share);
      equal.push_back({n, std::pow(10, exponent) / options.cost.per_sample(n)});
    }
    equal.emplace_back();
  }
  plot.layer(fmt::format("{} using 1:2 with lines lw 1 dt (2,3) lc rgb \"#888888\" title \"equal compute\"",
                         plot.data("equal", equal)));
  plot.layer(fmt::format("$contours using (10**$1):(10**$2) with lines lw 1.3 lc rgb \"#414487\" title \"{}\"",
                         metric_name(data)));
  plot.layer(
      fmt::format("{} using 1:2 with points pt 7 ps 0.5 lc rgb \"#80222222\" title \"run\"", plot.data("runs", runs)));
  if (!law.draws.empty())
    plot.layer(
        fmt::format("{} using 1:2 with filledcurves closed fc rgb \"{}\" fs transparent solid 0.22 noborder title "
                    "\"95 % interval\"",
                    plot.data("interval", path->interval), kLawColor));
  plot.layer(fmt::format("{} using 1:2 with lines lw 2.2 lc rgb \"{}\" title \"best size\"",
                         plot.data("best", path->line), kLawColor));
  const std::string decades = plot.data("decades", path->decades);
  plot.layer(fmt::format("{} using 1:2 with points pt 7 ps 0.9 lc rgb \"{}\" notitle", decades, kLawColor));
  // To the right of its point, unless that is too near to the edge.
  const double edge = between(params, 0.75);
  for (const auto& [side, condition] : {std::pair{"left offset 0.8,-0.5", "<"}, {"right offset -0.8,0.5", ">="}})
    plot.layer(
        fmt::format("{} using ($1{}{:.6g}?$1:NaN):2:(sprintf(\"10^{{%d}} FLOPs\", $3)) with labels {} boxed font "
                    "\",12\" tc rgb \"{}\" notitle",
                    decades, condition, edge, side, kInk));
  return Figure{fmt::format("{}-contours", data.metric), plot.script(orders)};
}

}  // namespace scalelaw::cli
