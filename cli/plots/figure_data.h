// What the figures of a study show, wherever it comes from: a server or a file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/frontier.h"
#include "analysis/law.h"

namespace scalelaw::cli {

/// One metric of one study.
struct FigureData {
  std::string study;
  std::string metric;
  /// Bounds of a score. A metric with bounds is a score: linear axis, more is better; all others are losses.
  std::optional<double> chance, ceiling;
  /// What a fit sees, and what it does not.
  std::vector<analysis::Observation> runs;
  std::vector<analysis::Observation> held_out;
  /// The newest law over FLOPs alone, and the newest over size and data.
  std::optional<analysis::Law> curve;
  std::optional<analysis::Law> surface;

  bool is_score() const { return chance.has_value() || ceiling.has_value(); }
  analysis::Better better() const { return is_score() ? analysis::Better::kHigher : analysis::Better::kLower; }
};

}  // namespace scalelaw::cli
