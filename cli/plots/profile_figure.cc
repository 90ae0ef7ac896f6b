#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cli/plots/figures.h"
#include "cli/plots/style.h"

namespace scalelaw::cli {
namespace {

// The part that matters: beyond a few times the critical value a profile only makes the rest flat.
constexpr double kShown = 2.2;

std::string panel(const analysis::Profile& profile, const analysis::Parameter& parameter, const std::string& y_label) {
  const std::string& name = profile.parameter;
  const double top = kShown * profile.critical;
  Range x;
  std::vector<std::vector<double>> rows;
  for (const analysis::Profile::At& at : profile.curve) {
    if (at.statistic > 1.5 * top || !std::isfinite(at.value)) continue;
    x.add(at.value);
    rows.push_back({at.value, at.statistic});
  }
  const bool log = x.low > 0 && x.high > 30 * x.low;
  const Axis x_axis = {plain(name), widened(x, log, 0.03), log};
  const double low = std::max(parameter.ci95_low, x_axis.range.low),
               high = std::min(parameter.ci95_high, x_axis.range.high);

  Plot plot;
  plot.layer(
      fmt::format("{} using 1:2 with filledcurves y=0 fc rgb \"{}\" fs transparent solid 0.12 noborder title "
                  "\"95 % interval\"",
                  plot.data("interval", {{low, top}, {high, top}}), kLawColor));
  plot.layer(fmt::format(
      "{} using 1:2 with lines lw 1.2 dt (6,4) lc rgb \"{}\" title \"95 % critical value\"",
      plot.data("critical", {{x_axis.range.low, profile.critical}, {x_axis.range.high, profile.critical}}), kInk));
  plot.layer(fmt::format("{} using 1:2 with lines lw 2 lc rgb \"{}\" title \"2 Δ log L\"", plot.data("curve", rows),
                         kLawColor));
  plot.layer(fmt::format("{} using 1:2 with points pt 7 ps 1 lc rgb \"{}\" title \"fitted\"",
                         plot.data("fitted", {{parameter.value, 0}}), kInk));
  return plot.script(axis("x", x_axis) + axis("y", {y_label, {-0.04 * top, top}})) + "unset key\n";
}

}  // namespace

Figure profile_figure(const FigureData& data, const analysis::Law& law, const std::string& name) {
  std::string drawn;
  int count = 0;
  for (const analysis::Profile& profile : law.profiles) {
    const auto parameter = std::find_if(law.parameters.begin(), law.parameters.end(),
                                        [&](const analysis::Parameter& p) { return p.name == profile.parameter; });
    if (parameter == law.parameters.end() || profile.curve.size() < 2) continue;
    drawn += panel(profile, *parameter, count % kPanelColumns == 0 ? "2 Δ log L" : "");
    ++count;
  }
  Figure figure;
  figure.name = fmt::format("{}-profiles-{}", data.metric, name);
  figure.script = panels(
      figure, fmt::format("{}: profiles of {} for {}", plain(data.study), plain(law.form), metric_name(data)), count);
  figure.script += drawn + "unset multiplot\n";
  return figure;
}

}  // namespace scalelaw::cli
