// Which figures there are for what is known of a study.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/plots/figure_data.h"
#include "cli/plots/gnuplot.h"

namespace scalelaw::cli {

/// `compute`, `isoflop`, `contours`, `residuals`, `profiles`, `extrapolation`.
const std::vector<std::string>& figure_names();

struct FigureSet {
  std::vector<Figure> figures;
  /// What the others lack, a line each, and how to get it.
  std::vector<std::string> missing;
};

/// The figures of these names; empty: all that the data allow.
FigureSet make_figures(const FigureData& data, const std::vector<std::string>& names);

}  // namespace scalelaw::cli
