// Figures drawn by gnuplot, a program of its own.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

namespace scalelaw::cli {

/// A figure as gnuplot commands, without terminal and output, and the name of its files without ending.
struct Figure {
  std::string name;
  std::string script;
  /// Of the SVG, in pixels; the PNG has twice as many.
  int width = 860;
  int height = 560;
};

/// Draws each figure as SVG and as PNG into `folder`, which is made if it is not there. Returns the files' paths.
/// FAILED_PRECONDITION if gnuplot is not installed (and what to install), INTERNAL with gnuplot's words if it fails.
absl::StatusOr<std::vector<std::string>> draw(const std::vector<Figure>& figures, const std::string& folder);

}  // namespace scalelaw::cli
