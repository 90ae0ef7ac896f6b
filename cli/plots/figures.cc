#include "cli/plots/figures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/format.h"

namespace scalelaw::cli {
namespace {

// Viridis without its palest end: ordered, legible on white, and safe for the colour-blind, also in grey.
std::string ordered_color(size_t index, size_t count) {
  static const std::array<std::array<double, 3>, 6> stops = {
      {{68, 1, 84}, {65, 68, 135}, {42, 120, 142}, {34, 168, 132}, {122, 209, 81}, {220, 200, 30}}};
  double t = count < 2 ? 0.3 : static_cast<double>(index) / static_cast<double>(count - 1);
  double at = t * (stops.size() - 1);
  auto low = std::min<size_t>(static_cast<size_t>(at), stops.size() - 2);
  std::array<int, 3> rgb{};
  for (int i = 0; i < 3; ++i)
    rgb[i] = static_cast<int>(std::lround(stops[low][i] + (at - low) * (stops[low + 1][i] - stops[low][i])));
  return fmt::format("#{:02x}{:02x}{:02x}", rgb[0], rgb[1], rgb[2]);
}
constexpr const char* kLawColor = "#c1440e";      // the law, its band
constexpr const char* kHeldOutColor = "#d1006c";  // what was measured and not fitted
constexpr const char* kInk = "#222222";

// gnuplot's enhanced text reads _ ^ { } @ & ~ as orders.
std::string plain(const std::string& text) {
  std::string escaped;
  for (char c : text) {
    if (std::string_view("_^{}@&~\\").find(c) != std::string_view::npos) escaped += "\\\\";
    if (c == '"') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// 1.6e12 -> 1.6·10^{12}
std::string power_of_ten(double value) {
  int exponent = static_cast<int>(std::floor(std::log10(value) + 1e-9));
  std::string mantissa = fmt::format("{:.3g}", value / std::pow(10, exponent));
  return mantissa == "1" ? fmt::format("10^{{{}}}", exponent) : fmt::format("{}·10^{{{}}}", mantissa, exponent);
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

// Tics where people look for them: 1, 2, 5 × powers of ten if there are few decades, else the powers alone.
std::string log_tics(const std::string& axis, const Range& range, bool counts, bool powers_only) {
  double decades = std::log10(range.high / range.low);
  std::vector<double> steps = decades < 0.7   ? std::vector<double>{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9}
                              : decades < 1.5 ? std::vector<double>{1, 2, 3, 5, 7}
                              : decades < 3   ? std::vector<double>{1, 2, 5}
                                              : std::vector<double>{1};
  if (powers_only && decades >= 1.5) steps = {1};
  if (counts && decades >= 0.7 && decades < 1.5) steps = {1, 2, 5};  // `500k` and `700k` would touch
  std::vector<std::string> tics;
  for (int exponent = static_cast<int>(std::floor(std::log10(range.low)));
       exponent <= static_cast<int>(std::ceil(std::log10(range.high))); ++exponent)
    for (double step : steps) {
      double at = step * std::pow(10, exponent);
      if (at < range.low * 0.999 || at > range.high * 1.001) continue;
      std::string label = counts                   ? format_count(at)
                          : at >= 1e-3 && at < 1e4 ? fmt::format("{:.3g}", at)
                                                   : power_of_ten(at);
      tics.push_back(fmt::format("\"{}\" {:.6g}", label, at));
    }
  return fmt::format("set {}tics ({})\n", axis, fmt::join(tics, ", "));
}

std::string metric_label(const FigureData& data) {
  static const std::map<std::string, std::string> known = {{"loss", "training loss"},
                                                           {"val_loss", "held-out loss"},
                                                           {"loss_last", "held-out loss, last scale"},
                                                           {"loss_avg", "held-out loss, all scales"},
                                                           {"alignment", "text–image alignment"}};
  auto found = known.find(data.metric);
  return found == known.end() ? plain(data.metric) : found->second;
}

std::string axis_label(const FigureData& data) {
  std::string label = metric_label(data);
  if (label != plain(data.metric)) label[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(label[0])));
  return label;
}

std::string frame(const FigureData& data, const std::string& title, const std::string& x_label, const Range& x,
                  const Range& y, bool x_counts) {
  std::string text = fmt::format(
      "set encoding utf8\n"
      "set title \"{}\" font \",16\" offset 0,-0.3 tc rgb \"{}\"\n"
      "set border 3 lc rgb \"#777777\" lw 1\n"
      "set tics nomirror out scale 0.6 tc rgb \"{}\"\n"
      "set grid lc rgb \"#e6e6e6\" lw 1 lt 1\n"
      "set key outside right center Left reverse samplen 1.6 spacing 1.25 tc rgb \"{}\"\n"
      "set lmargin 10\nset bmargin 4\nset tmargin 3\n"
      "set xlabel \"{}\" tc rgb \"{}\"\nset ylabel \"{}\" offset 0.5,0 tc rgb \"{}\"\n"
      "set logscale x 10\nset xrange [{:.6g}:{:.6g}]\n",
      title, kInk, kInk, kInk, x_label, kInk, axis_label(data), kInk, x.low, x.high);
  text += log_tics("x", x, x_counts, !x_counts);
  if (!data.is_score()) text += "set logscale y 10\n" + log_tics("y", y, false, false);
  text += fmt::format("set yrange [{:.6g}:{:.6g}]\n", y.low, y.high);
  return text;
}

// Room around the data: a share of the axis, on its own scale.
Range widened(const Range& range, bool log_scale, double share) {
  if (!log_scale) {
    double margin = std::max(1e-6, range.high - range.low) * share;
    return {range.low - margin, range.high + margin};
  }
  double factor = std::pow(std::max(1.05, range.high / range.low), share);
  return {range.low / factor, range.high * factor};
}

class Plot {
 public:
  /// Rows of numbers under a name; returns `$name`.
  std::string data(const std::string& name, const std::vector<std::vector<double>>& rows) {
    blocks_ += fmt::format("${} << EOD\n", name);
    for (const std::vector<double>& row : rows) blocks_ += fmt::format("{:.10g}\n", fmt::join(row, " "));
    blocks_ += "EOD\n";
    return "$" + name;
  }
  void layer(const std::string& text) { layers_.push_back(text); }
  std::string script(const std::string& before) const {
    return fmt::format("{}{}plot {}\n", blocks_, before, fmt::join(layers_, ", \\\n     "));
  }

 private:
  std::string blocks_;
  std::vector<std::string> layers_;
};

std::vector<double> sizes_of(const FigureData& data) {
  std::set<double> sizes;
  for (const v1::Observation& observation : data.observations)
    if (!observation.holdout()) sizes.insert(observation.params());
  return {sizes.begin(), sizes.end()};
}

void add_law(const FigureData& data, Plot& plot) {
  if (data.curve.empty()) return;
  std::vector<std::vector<double>> rows;
  for (const v1::Prediction& p : data.curve)
    rows.push_back({p.at().at("flops"), p.value(), p.low50(), p.high50(), p.low95(), p.high95()});
  std::string law = plot.data("law", rows);
  plot.layer(
      fmt::format("{} using 1:5:6 with filledcurves fc rgb \"{}\" fs transparent solid 0.12 noborder title "
                  "\"95 % prediction\"",
                  law, kLawColor));
  plot.layer(
      fmt::format("{} using 1:3:4 with filledcurves fc rgb \"{}\" fs transparent solid 0.20 noborder title "
                  "\"50 % prediction\"",
                  law, kLawColor));
  // Solid where runs support it, dashed beyond.
  double fitted_to = 0;
  for (const v1::Range& range : data.law->ranges())
    if (range.column() == "flops") fitted_to = range.high();
  plot.layer(fmt::format("{} using ($1<={:.6g}*1.02?$1:NaN):2 with lines lw 2.2 lc rgb \"{}\" title \"fitted law\"",
                         law, fitted_to, kLawColor));
  plot.layer(
      fmt::format("{} using ($1>={:.6g}*0.98?$1:NaN):2 with lines lw 2.2 dt (8,5) lc rgb \"{}\" title "
                  "\"extrapolated\"",
                  law, fitted_to, kLawColor));
}

void add_runs(const FigureData& data, Plot& plot) {
  std::vector<double> sizes = sizes_of(data);
  for (size_t i = 0; i < sizes.size(); ++i) {
    std::vector<std::vector<double>> rows;
    for (const v1::Observation& observation : data.observations)
      if (!observation.holdout() && observation.params() == sizes[i])
        rows.push_back({observation.flops(), observation.value()});
    plot.layer(fmt::format("{} using 1:2 with points pt 7 ps 0.85 lc rgb \"{}\" title \"{}\"",
                           plot.data(fmt::format("size{}", i), rows), ordered_color(i, sizes.size()),
                           format_count(sizes[i]) + (i == 0 ? " params" : "")));
  }
}

void add_frontier(const FigureData& data, Plot& plot) {
  std::vector<std::vector<double>> rows;
  for (const FrontierPoint& point : frontier(data)) rows.push_back({point.flops, point.value});
  if (rows.size() < 2) return;
  plot.layer(fmt::format("{} using 1:2 with lines lw 1.2 lc rgb \"{}\" title \"frontier\"", plot.data("frontier", rows),
                         "#555555"));
}

void add_held_out(const FigureData& data, Plot& plot) {
  std::vector<std::vector<double>> rows;
  for (const v1::Observation& observation : data.observations)
    if (observation.holdout()) rows.push_back({observation.flops(), observation.value()});
  if (rows.empty()) return;
  std::string points = plot.data("heldout", rows);
  // A white rim keeps the mark apart from the band.
  plot.layer(fmt::format("{} using 1:2 with points pt 13 ps 2.1 lc rgb \"#ffffff\" notitle", points));
  plot.layer(
      fmt::format("{} using 1:2 with points pt 13 ps 1.5 lc rgb \"{}\" title \"held-out run\"", points, kHeldOutColor));
}

// Labelled where a rising curve is not: the ceiling at the left, chance at the right.
void add_bounds(const FigureData& data, const Range& x, Plot& plot) {
  auto line = [&](const char* name, std::optional<double> value, double label_at, const char* alignment) {
    if (!value) return;
    std::string block = plot.data(name, {{x.low, *value}, {x.high, *value}});
    plot.layer(fmt::format("{} using 1:2 with lines lw 1.2 dt (3,4) lc rgb \"#777777\" notitle", block));
    std::string label =
        plot.data(fmt::format("{}_label", name), {{x.low * std::pow(x.high / x.low, label_at), *value}});
    plot.layer(
        fmt::format("{} using 1:2:(\"{} {:.2f}\") with labels {} offset 0,0.6 font \",12\" tc rgb \"#555555\" "
                    "notitle",
                    label, name, *value, alignment));
  };
  line("chance", data.chance, 0.98, "right");
  line("ceiling", data.ceiling, 0.02, "left");
}

}  // namespace

Figure compute_figure(const FigureData& data) {
  Range x, y;
  for (const v1::Observation& observation : data.observations) {
    x.add(observation.flops());
    y.add(observation.value());
  }
  for (const v1::Prediction& prediction : data.curve) {
    x.add(prediction.at().at("flops"));
    y.add(prediction.value());
  }
  if (data.chance) y.add(*data.chance);
  if (data.ceiling) y.add(*data.ceiling);
  x = widened(x, true, 0.03);
  y = widened(y, !data.is_score(), 0.08);

  Plot plot;
  add_bounds(data, x, plot);
  add_law(data, plot);
  add_frontier(data, plot);
  add_runs(data, plot);
  add_held_out(data, plot);
  std::string title = fmt::format("{}: {} by compute", plain(data.study), metric_label(data));
  return {fmt::format("{}-vs-compute", data.metric),
          plot.script(frame(data, title, "Training compute (FLOPs)", x, y, false))};
}

bool has_isoflops(const FigureData& data) {
  std::vector<IsoFlop> all = isoflops(data);
  return std::any_of(all.begin(), all.end(), [](const IsoFlop& iso) { return iso.sizes.size() >= 2; });
}

Figure isoflop_figure(const FigureData& data) {
  std::vector<IsoFlop> all = isoflops(data);
  Range x, y;
  for (const IsoFlop& iso : all)
    for (const IsoFlop::Size& size : iso.sizes) {
      x.add(size.params);
      y.add(size.value);
    }
  x = widened(x, true, 0.06);
  y = widened(y, !data.is_score(), 0.08);

  Plot plot;
  std::vector<std::vector<double>> best;
  for (size_t i = 0; i < all.size(); ++i) {
    const IsoFlop& iso = all[i];
    std::string color = ordered_color(i, all.size());
    std::vector<std::vector<double>> points, curve;
    for (const IsoFlop::Size& size : iso.sizes) points.push_back({size.params, size.value});
    std::string name = fmt::format("budget{}", i);
    plot.layer(fmt::format("{} using 1:2 with points pt 7 ps 0.8 lc rgb \"{}\" title \"{} FLOPs\"",
                           plot.data(name, points), color, power_of_ten(iso.budget)));
    if (iso.best) best.push_back({iso.best->params, iso.best->value});
    if (!iso.parabola) {
      if (points.size() > 1)
        plot.layer(fmt::format("${} using 1:2 with lines lw 1.4 lc rgb \"{}\" notitle", name, color));
      continue;
    }
    constexpr int kSteps = 60;
    double low = iso.from_params / 1.05, high = iso.to_params * 1.05;
    for (int step = 0; step <= kSteps; ++step) {
      double params = low * std::pow(high / low, static_cast<double>(step) / kSteps);
      curve.push_back({params, iso.at(params, data.is_score())});
    }
    plot.layer(
        fmt::format("{} using 1:2 with lines lw 1.6 lc rgb \"{}\" notitle", plot.data(name + "_fit", curve), color));
  }
  if (!best.empty()) {
    std::string points = plot.data("best", best);
    plot.layer(fmt::format("{} using 1:2 with lines lw 1.2 dt (6,4) lc rgb \"{}\" notitle", points, kInk));
    plot.layer(
        fmt::format("{} using 1:2 with points pt 12 ps 1.5 lw 1.6 lc rgb \"{}\" title \"best size\"", points, kInk));
  }
  std::string title = fmt::format("{}: sizes at equal compute", plain(data.study));
  return {fmt::format("{}-isoflop", data.metric), plot.script(frame(data, title, "Parameters", x, y, true))};
}

}  // namespace scalelaw::cli
