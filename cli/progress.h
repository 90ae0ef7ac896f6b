// A sweep while it runs, as lines of text. Pure: what to show comes in, lines come out.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"
#include "scalelaw/v1/sweeps.pb.h"

namespace scalelaw::cli {

/// The whole sweep: its bar, counts, FLOPs and time left, then a line for each running run with its bar, loss and time
/// left, as many as the terminal's height holds, then what the others do. Never more lines than `terminal.height` − 1
/// nor wider than `terminal.width` (both where they are not 0). `now`: seconds since 1970.
std::vector<std::string> render_progress(const v1::SweepSnapshot& snapshot, const Terminal& terminal, double now);

/// For output that is no terminal: one line for the sweep.
std::string progress_line(const v1::SweepSnapshot& snapshot, double now);

/// A line for each run that has changed its state since `before` (empty at first).
std::vector<std::string> state_changes(const v1::SweepSnapshot& before, const v1::SweepSnapshot& now);

/// The share of the sweep's work that is over, in [0, 1]: by FLOPs budgets, a run without one counting as much as the
/// smallest; by runs if none has one. Exactly 1 only once every run has ended.
double done_share(const v1::SweepSnapshot& snapshot);

/// A bar of `width` characters in eighths: `█████▍░░░░░░`.
std::string bar(double fraction, int width);

/// The metric of a run that one looks at first: its loss, else its score, else any. Empty if it has none.
std::string leading_metric(const v1::Run& run);

bool is_over(v1::RunState state);
bool is_over(v1::SweepState state);
Color color_of(v1::RunState state);
Color color_of(v1::SweepState state);

}  // namespace scalelaw::cli
