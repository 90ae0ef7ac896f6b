// The figures of a scaling study, in gnuplot's language. Pure: data in, script out.
#pragma once

#include "analysis/selection.h"
#include "cli/plots/figure_data.h"
#include "cli/plots/gnuplot.h"

namespace scalelaw::cli {

/// The metric against training compute: every run coloured by its size, the frontier, the fitted law with its 50 % and
/// 95 % band, the held-out measurements; chance and ceiling for a score.
Figure compute_figure(const FigureData& data);

/// Budgets of at least this many sizes are drawn by `isoflop_figure`.
inline constexpr size_t kIsoFlopSizes = 3;
/// Whether there is one.
bool has_isoflops(const FigureData& data);
/// The metric against size, a parabola per budget (`analysis::isoflop_minima`), its minimum marked where the sizes that
/// were tried enclose it.
Figure isoflop_figure(const FigureData& data);

/// Contours of the law over size and data, lines of equal compute, the runs, and the best size for every compute with
/// its 95 % interval. Needs `data.surface`. Errors: those of `analysis::optimal`.
absl::StatusOr<Figure> contour_figure(const FigureData& data);

/// What a law leaves unexplained: against the fitted value and against each of its columns, with the mean of
/// neighbouring points and 95 % of the noise. `name` tells it from the study's other laws.
Figure residual_figure(const FigureData& data, const analysis::Law& law, const std::string& name);

/// How much worse the best fit gets when one parameter is held, a panel each. Needs `law.profiles`.
Figure profile_figure(const FigureData& data, const analysis::Law& law, const std::string& name);

/// Error of the forms' predictions against how far they extrapolate.
Figure extrapolation_figure(const FigureData& data, const analysis::Selection& selection);

}  // namespace scalelaw::cli
