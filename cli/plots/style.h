// What all figures have in common: colours, axes, and the script that they are written in.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "cli/plots/figure_data.h"
#include "cli/plots/gnuplot.h"

namespace scalelaw::cli {

inline constexpr const char* kLawColor = "#c1440e";      // the law, its band
inline constexpr const char* kHeldOutColor = "#d1006c";  // what was measured and not fitted
inline constexpr const char* kInk = "#222222";
inline constexpr const char* kFaint = "#777777";

/// Viridis without its palest end: ordered, legible on white, and safe for the colour-blind, also in grey.
std::string ordered_color(size_t index, size_t count);
/// The same as a palette for `lc palette`.
std::string ordered_palette();
/// Colours without an order (Okabe & Ito 2008), safe for the colour-blind.
std::string distinct_color(size_t index);
/// More things than this are told apart by a scale of colours, not by a key.
inline constexpr size_t kMostKeys = 9;

/// Text as it is: gnuplot's enhanced text reads _ ^ { } @ & ~ as orders.
std::string plain(const std::string& text);
/// 1.6e12 -> 1.6·10^{12}
std::string power_of_ten(double value);

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value);
};
/// Room around the data: a share of the axis, on its own scale.
Range widened(const Range& range, bool log_scale, double share);

struct Axis {
  std::string label;
  Range range;
  bool log = false;
  /// Labels are `183k`, not 1.83·10^5.
  bool counts = false;
};
/// The orders for an axis (`x`, `y`, `cb`): label, range, scale and tics where people look for them.
std::string axis(const std::string& name, const Axis& axis);

/// Of a column of observations: its name with its unit, and how its values are written.
std::string column_label(const std::string& column);
bool is_count(const std::string& column);
/// Of the metric: in the middle of a sentence, and at an axis.
std::string metric_name(const FigureData& data);
std::string metric_label(const FigureData& data);

/// Title, border, grid and key that all figures share; `key`: where that stands.
std::string frame(const std::string& title, const std::string& key = "outside right center");

inline constexpr int kPanelColumns = 3;
/// Opens a figure of so many panels, at most kPanelColumns side by side, under one title and one key; sets the figure's
/// size.
/// Each panel is a `plot`; after the first, `unset key`; in the end `unset multiplot`.
std::string panels(Figure& figure, const std::string& title, int count);

/// A scale of colours at the right, for `lc palette`; the key goes above it (`outside right top`).
std::string colour_scale(const std::string& label, const Range& range, bool counts);

class Plot {
 public:
  /// Rows of numbers under a name; returns `$name`.
  std::string data(const std::string& name, const std::vector<std::vector<double>>& rows);
  void layer(const std::string& text) { layers_.push_back(text); }
  /// The data, then the orders, then the layers drawn.
  std::string script(const std::string& before) const;

 private:
  std::string blocks_;
  std::vector<std::string> layers_;
};

}  // namespace scalelaw::cli
