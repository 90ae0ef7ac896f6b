// The figures of a scaling study, in gnuplot's language. Pure: data in, script out.
#pragma once

#include "cli/plots/figure_data.h"
#include "cli/plots/gnuplot.h"

namespace scalelaw::cli {

/// The metric against training compute: every run coloured by its size, the frontier, the fitted law with its 50 % and
/// 95 % band, the held-out measurements; chance and ceiling for a score.
Figure compute_figure(const FigureData& data);

/// The metric against size, a parabola per budget, its best size marked. Needs at least one budget with several sizes.
Figure isoflop_figure(const FigureData& data);

/// Whether `isoflop_figure` has something to show.
bool has_isoflops(const FigureData& data);

}  // namespace scalelaw::cli
