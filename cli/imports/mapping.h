// What foreign runs mean: their size, data, compute and metrics.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/imports/foreign_run.h"
#include "scalelaw/v1/runs.pb.h"

namespace scalelaw::cli {

/// Expressions (analysis/expression.h) over a run's parameters, over its curves at the step in question, and `step`.
/// Each may use what is mapped before it: params, samples, flops. Empty: the first usual name that a run has, see
/// `usual_names`.
struct Mapping {
  std::string params;
  std::string samples;
  std::string flops;
  std::string seed;
  /// Conditions at a run's last step, which all have to hold.
  std::vector<std::string> where;
  /// A condition; empty: no run is held out.
  std::string holdout;
  /// `NAME` or `NAME=CURVE`; empty: all curves under their own names.
  std::vector<std::string> metrics;
  /// A regular expression over a run's name (RE2), whose named groups become parameters.
  std::string name_pattern;
};

struct MappedRuns {
  std::vector<v1::ImportedRun> runs;
  /// Left out by `where`.
  int filtered = 0;
  /// Left out because they have none of the metrics.
  int without_metrics = 0;
  /// What is worth knowing: what no run says, such as its FLOPs.
  std::vector<std::string> warnings;
};

/// Errors: INVALID_ARGUMENT naming the option, the run, and the names that there are.
absl::StatusOr<MappedRuns> map_runs(std::vector<ForeignRun> runs, const Mapping& mapping);

}  // namespace scalelaw::cli
