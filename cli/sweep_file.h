// Sweep files: YAML with the shape of `SweepSpec`. The only place that knows YAML.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "scalelaw/v1/sweeps.pb.h"

namespace scalelaw::cli {

/// Of the first character of a field's value, counted from 1.
struct Position {
  int line = 0;
  int column = 0;
};

struct SweepFile {
  std::string name;
  std::string text;
  v1::SweepSpec spec;
  /// Path of every value in the file (`stages[1].grid.depth[0]`) -> where it is.
  std::map<std::string, Position> positions;
};

/// Reads a file, or standard input for `-`. `{here}` in a command stands for the absolute folder of the file.
/// Errors as `parse_sweep_file`; NOT_FOUND naming the file if it cannot be read.
absl::StatusOr<SweepFile> read_sweep_file(const std::string& path);

/// Differences from the proto, for the writer's comfort: `grid` is a map from parameter to its values, and one value
/// may stand for a list of one in `grid` and `budget`.
///
/// Errors: INVALID_ARGUMENT, the first line `FILE:LINE:COLUMN: field: what is wrong; what is allowed`, then the line of
/// the file with the place marked. Unknown keys are errors (with the nearest known one), so are keys given twice,
/// values of the wrong type, tabs and empty files.
absl::StatusOr<SweepFile> parse_sweep_file(const std::string& name, const std::string& text, const std::string& here);

/// An error of the server's (`stages[1].grid.depth[0]: …`) with the place in the file that it is about, in the form
/// above; the message as it is if its path is not in the file.
std::string locate(const SweepFile& file, const std::string& message);

/// The candidate that is the likeliest spelling of `word`, or empty if none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace scalelaw::cli
