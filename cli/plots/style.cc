#include "cli/plots/style.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/format.h"

namespace scalelaw::cli {
namespace {

constexpr std::array<std::array<double, 3>, 6> kStops = {
    {{68, 1, 84}, {65, 68, 135}, {42, 120, 142}, {34, 168, 132}, {122, 209, 81}, {220, 200, 30}}};

std::string hex(double red, double green, double blue) {
  return fmt::format("#{:02x}{:02x}{:02x}", std::lround(red), std::lround(green), std::lround(blue));
}

// 1, 2, 5 × powers of ten if there are few decades, else the powers alone.
std::vector<double> steps_within(double decades, bool counts) {
  if (decades < 0.7) return {1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9};
  if (decades < 1.5 && !counts) return {1, 2, 3, 5, 7};
  if (decades < (counts ? 2.5 : 3)) return {1, 2, 5};  // `500k` and `700k` would touch
  return {1};
}

std::string log_tics(const std::string& name, const Axis& axis) {
  const auto [low, high] = axis.range;
  const double decades = std::log10(high / low);
  std::vector<double> steps = steps_within(decades, axis.counts);
  // 10^{12} is wide: below the axis there is room for the powers alone.
  if (name == "x" && !axis.counts && high >= 1e4 && decades >= 1.5) steps = {1};
  const int every = decades > 12 ? 3 : decades > 7 ? 2 : 1;
  std::vector<std::string> tics;
  for (int exponent = static_cast<int>(std::floor(std::log10(low)));
       exponent <= static_cast<int>(std::ceil(std::log10(high))); ++exponent) {
    if (exponent % every != 0) continue;
    for (const double step : steps) {
      const double at = step * std::pow(10, exponent);
      if (at < low * 0.999 || at > high * 1.001) continue;
      const std::string label = axis.counts              ? format_count(at)
                                : at >= 1e-3 && at < 1e4 ? fmt::format("{:.3g}", at)
                                                         : power_of_ten(at);
      tics.push_back(fmt::format("\"{}\" {:.6g}", label, at));
    }
  }
  return fmt::format("set {}tics ({})\n", name, fmt::join(tics, ", "));
}

// Multiples of 1, 2 or 5 × a power of ten, about five of them.
std::string linear_tics(const std::string& name, const Range& range) {
  const double wanted = (range.high - range.low) / 5, power = std::pow(10, std::floor(std::log10(wanted)));
  const double step = wanted / power < 1.5   ? power
                      : wanted / power < 3.5 ? 2 * power
                      : wanted / power < 7.5 ? 5 * power
                                             : 10 * power;
  return fmt::format("set {}tics autofreq {:.6g}\n", name, step);
}

}  // namespace

std::string ordered_color(size_t index, size_t count) {
  const double t = count < 2 ? 0.3 : static_cast<double>(index) / static_cast<double>(count - 1);
  const double at = t * (kStops.size() - 1);
  const auto low = std::min<size_t>(static_cast<size_t>(at), kStops.size() - 2);
  std::array<double, 3> rgb{};
  for (size_t i = 0; i < 3; ++i)
    rgb[i] = kStops[low][i] + (at - static_cast<double>(low)) * (kStops[low + 1][i] - kStops[low][i]);
  return hex(rgb[0], rgb[1], rgb[2]);
}

std::string ordered_palette() {
  std::vector<std::string> stops;
  for (size_t i = 0; i < kStops.size(); ++i)
    stops.push_back(fmt::format("{} \"{}\"", i, ordered_color(i, kStops.size())));
  return fmt::format("set palette defined ({})\n", fmt::join(stops, ", "));
}

std::string distinct_color(size_t index) {
  constexpr std::array<const char*, 8> kColors = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                  "#56b4e9", "#e69f00", "#222222", "#8c6d1f"};
  return kColors[index % kColors.size()];
}

std::string plain(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (std::string_view("_^{}@&~\\").find(c) != std::string_view::npos) escaped += "\\\\";
    if (c == '"') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string power_of_ten(double value) {
  const int exponent = static_cast<int>(std::floor(std::log10(value) + 1e-9));
  const std::string mantissa = fmt::format("{:.3g}", value / std::pow(10, exponent));
  return mantissa == "1" ? fmt::format("10^{{{}}}", exponent) : fmt::format("{}·10^{{{}}}", mantissa, exponent);
}

void Range::add(double value) {
  low = std::min(low, value);
  high = std::max(high, value);
}

Range widened(const Range& range, bool log_scale, double share) {
  if (!log_scale) {
    const double margin = std::max(1e-9, range.high - range.low) * share;
    return {range.low - margin, range.high + margin};
  }
  const double factor = std::pow(std::max(1.05, range.high / range.low), share);
  return {range.low / factor, range.high * factor};
}

std::string axis(const std::string& name, const Axis& axis) {
  const char* offset = name == "y" ? "offset 0.5,0 " : "";
  std::string text = fmt::format("set {0}label \"{1}\" {2}tc rgb \"{3}\"\nset {0}range [{4:.10g}:{5:.10g}]\n", name,
                                 axis.label, offset, kInk, axis.range.low, axis.range.high);
  if (!axis.log) return text + fmt::format("unset logscale {}\n", name) + linear_tics(name, axis.range);
  return text + fmt::format("set logscale {} 10\n", name) + log_tics(name, axis);
}

std::string column_label(const std::string& column) {
  static const std::map<std::string, std::string> known = {
      {"flops", "Training compute (FLOPs)"}, {"params", "Parameters"}, {"samples", "Training samples"}};
  const auto found = known.find(column);
  return found == known.end() ? plain(column) : found->second;
}

bool is_count(const std::string& column) {
  return column == "params" || column == "samples";
}

std::string metric_name(const FigureData& data) {
  static const std::map<std::string, std::string> known = {{"loss", "training loss"},
                                                           {"val_loss", "held-out loss"},
                                                           {"loss_last", "held-out loss, last scale"},
                                                           {"loss_avg", "held-out loss, all scales"},
                                                           {"alignment", "text–image alignment"}};
  const auto found = known.find(data.metric);
  return found == known.end() ? plain(data.metric) : found->second;
}

std::string metric_label(const FigureData& data) {
  std::string label = metric_name(data);
  if (label != plain(data.metric)) label[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(label[0])));
  return label;
}

std::string frame(const std::string& title, const std::string& key) {
  return fmt::format(
      "set encoding utf8\n"
      "set title \"{0}\" font \",16\" offset 0,-0.3 tc rgb \"{1}\"\n"
      "set border 3 lc rgb \"{2}\" lw 1\n"
      "set tics nomirror out scale 0.6 tc rgb \"{1}\"\n"
      "set grid lc rgb \"#e6e6e6\" lw 1 lt 1\n"
      "set key {3} Left reverse samplen 1.6 spacing 1.25 tc rgb \"{1}\"\n"
      "set lmargin 10\nset bmargin 4\nset tmargin 3\n",
      title, kInk, kFaint, key);
}

std::string panels(Figure& figure, const std::string& title, int count) {
  const int columns = std::clamp(count, 1, kPanelColumns), lines = std::max(1, (count + columns - 1) / columns);
  // In pixels: a panel, what is left of each, below each, and above all.
  constexpr double kWidth = 330, kHeight = 250, kLeft = 130, kBelow = 80, kAbove = 95;
  figure.width = static_cast<int>(columns * (kLeft + kWidth) + 25);
  figure.height = static_cast<int>(lines * (kHeight + kBelow) + kAbove);
  const auto across = [&](double pixels) { return pixels / figure.width; };
  const auto down = [&](double pixels) { return pixels / figure.height; };
  return frame("") + fmt::format(
                         "unset title\nset key at screen 0.5, screen {:.4f} center top vertical maxrows 1\n"
                         "set multiplot layout {},{} title \"{}\" font \",16\" margins screen {:.4f},{:.4f},"
                         "{:.4f},{:.4f} spacing screen {:.4f},{:.4f}\n",
                         1 - down(40), lines, columns, title, across(kLeft), 1 - across(25), down(kBelow),
                         1 - down(kAbove), across(kLeft), down(kBelow));
}

std::string colour_scale(const std::string& label, const Range& range, bool counts) {
  return "set rmargin at screen 0.72\n" + ordered_palette() + axis("cb", {label, range, true, counts}) +
         "set cblabel offset 1.5,0\n"
         "set colorbox user origin screen 0.77, screen 0.17 size screen 0.022, screen 0.5\n";
}

std::string Plot::data(const std::string& name, const std::vector<std::vector<double>>& rows) {
  blocks_ += fmt::format("${} << EOD\n", name);
  for (const std::vector<double>& row : rows) {
    // gnuplot takes an empty line for the end of a line drawn.
    blocks_ += row.empty() ? "\n" : fmt::format("{:.10g}\n", fmt::join(row, " "));
  }
  blocks_ += "EOD\n";
  return "$" + name;
}

std::string Plot::script(const std::string& before) const {
  return fmt::format("{}{}plot {}\n", blocks_, before, fmt::join(layers_, ", \\\n     "));
}

}  // namespace scalelaw::cli
