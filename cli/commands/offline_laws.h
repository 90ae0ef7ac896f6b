// Laws without a server: fitted to a CSV file, kept in a file, used from there.
#pragma once

#include <map>
#include <string>

#include "analysis/law.h"
#include "cli/csv_observations.h"
#include "cli/session.h"

namespace scalelaw::cli {

struct OfflineFit {
  CsvQuery query;
  analysis::FitOptions options;
  /// Where the law's document goes; empty: nowhere.
  std::string out;
};

/// Fits and prints the law: as text, or with --json as its document (docs/laws.md).
void fit_csv(Session& session, OfflineFit fit);

/// Reads a law's document; on failure reports it and sets the session's exit code. `-` is standard input.
bool load_law(Session& session, const std::string& path, analysis::Law& law);

/// Predicts and prints as `predict` does for a stored law.
void predict_from_file(Session& session, const std::string& path, const std::map<std::string, double>& at);

}  // namespace scalelaw::cli
