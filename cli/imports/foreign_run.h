// Runs as the tools that recorded them keep them, before they are given the meaning that laws need.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace scalelaw::cli {

struct ForeignRun {
  /// What tells it from the others of its source, today and at the next import.
  std::string key;
  std::string name;
  /// Configuration: numbers as text too.
  std::map<std::string, std::string> params;
  /// What was measured: name → step → value. Without infinities and NaN.
  std::map<std::string, std::map<int64_t, double>> curves;
  bool failed = false;
  /// Seconds since 1970.
  std::optional<double> started, finished;
};

struct ForeignRuns {
  std::vector<ForeignRun> runs;
  /// Left out because they are not finished.
  int unfinished = 0;
};

/// What each reader is told.
struct ForeignSource {
  /// A file, or a directory for TensorBoard.
  std::string path;
  /// MLflow's experiment, Optuna's study; empty: all of them.
  std::string experiment;
  /// Of a table: the columns that name a row's run and its step. Empty: every row is a run; the column `step`.
  std::string run_column;
  std::string step_column;
};

/// Errors of all readers: NOT_FOUND for the file; INVALID_ARGUMENT naming the file, what was expected in it, and the
/// experiments that are there where the one asked for is not.

/// A table with a row per run, or with a row per run and step. Columns of numbers are curves, and parameters too where
/// they do not change within a run; columns of text are parameters.
absl::StatusOr<ForeignRuns> read_csv_runs(const ForeignSource& source);
/// What Weights & Biases exports as CSV: the table of runs, or a chart (`Step, RUN - METRIC, …`).
absl::StatusOr<ForeignRuns> read_wandb_runs(const ForeignSource& source);
/// MLflow's SQLite database (`mlflow.db`).
absl::StatusOr<ForeignRuns> read_mlflow_runs(const ForeignSource& source);
/// An Optuna storage in SQLite: the objective is the curve `value`, with several `value_0`, `value_1`, …; intermediate
/// values are the curve `intermediate`; user attributes are parameters.
absl::StatusOr<ForeignRuns> read_optuna_runs(const ForeignSource& source);
/// Every folder with event files is a run, named by its path; scalars are curves.
absl::StatusOr<ForeignRuns> read_tensorboard_runs(const ForeignSource& source);

}  // namespace scalelaw::cli
