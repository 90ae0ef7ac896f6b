// A study's runs and laws as files for other programs and for papers. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "scalelaw/v1/laws.pb.h"
#include "scalelaw/v1/runs.pb.h"

namespace scalelaw::cli {

struct ExportedRun {
  v1::Run run;
  std::vector<v1::Curve> curves;
};

/// A row per run: what it is, `param_NAME` for each of its parameters, and the last value of each metric. Columns
/// `params`, `samples`, `flops` are as `fit --csv` takes them.
std::string runs_csv(const std::vector<ExportedRun>& runs);
/// A row per run, metric and step.
std::string curves_csv(const std::vector<ExportedRun>& runs);
/// An object per line: the run as `scalelaw runs --json` prints it, and its `curves`.
std::string runs_jsonl(const std::vector<ExportedRun>& runs);
/// A LaTeX table (booktabs) of laws: metric, form, points, parameters with their intervals.
std::string laws_latex(const std::vector<v1::Law>& laws);

/// One cell, in quotes where RFC 4180 asks for them.
std::string csv_cell(const std::string& text);

}  // namespace scalelaw::cli
