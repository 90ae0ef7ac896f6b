#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/plots/figures.h"
#include "cli/plots/style.h"

namespace scalelaw::cli {

Figure extrapolation_figure(const FigureData& data, const analysis::Selection& selection) {
  // Forms that no held-out point was predicted by have nothing to show; more than the key can hold are the worst ones.
  constexpr size_t kMostForms = 8;
  Range x, y;
  Plot plot;
  size_t drawn = 0;
  std::map<std::string, int> times;
  for (const analysis::RankedForm& form : selection.ranking) ++times[form.form];
  for (const analysis::RankedForm& form : selection.ranking) {
    std::vector<std::vector<double>> means, points;
    for (const analysis::FactorError& error : form.by_factor) {
      if (error.count == 0) continue;
      // Where the points of this range of factors are.
      double log_factor = 0;
      int count = 0;
      for (const analysis::HeldOut& point : form.held_out)
        if (point.factor >= error.low && point.factor < error.high) {
          log_factor += std::log(point.factor);
          ++count;
        }
      if (count == 0) continue;
      means.push_back({std::exp(log_factor / count), 100 * error.error});
      x.add(means.back()[0]);
      y.add(means.back()[1]);
    }
    if (means.empty() || drawn == kMostForms) continue;
    const std::string color = distinct_color(drawn);
    const std::string columns =
        times[form.form] > 1 ? fmt::format(" of {}", plain(fmt::format("{}", fmt::join(form.x, ", ")))) : "";
    plot.layer(fmt::format("{} using 1:2 with linespoints pt 7 ps 1.1 lw {} lc rgb \"{}\" title \"{}{}: {:.2g} %\"",
                           plot.data(fmt::format("means{}", drawn), means), form.survives ? "2.4" : "1.2 dt (6,4)",
                           color, plain(form.form), columns, 100 * form.error));
    ++drawn;
  }
  x.add(1);
  std::string orders = frame(fmt::format("{}: error of predictions of {}", plain(data.study), metric_name(data)));
  const std::string by = selection.by == "flops" ? "compute" : plain(selection.by);
  orders += axis("x", {fmt::format("Predicted over largest fitted {}", by), widened(x, true, 0.05), true});
  orders += axis("y", {"Mean error of prediction (%)", widened(y, true, 0.1), true});
  orders += "set key title \"mean error\\n(dashed: worse than the\\nbest by over 2 std. errors)\" left\n";
  return {fmt::format("{}-extrapolation", data.metric), plot.script(orders)};
}

}  // namespace scalelaw::cli
