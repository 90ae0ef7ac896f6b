// One fit, resolved: the form, the criterion and the points that an Observation list and options stand for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/criterion.h"
#include "analysis/form.h"
#include "analysis/frontier.h"
#include "analysis/law.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

struct Problem {
  std::unique_ptr<const Form> form;
  Criterion criterion;
  std::vector<std::string> columns;
  /// Those that the fit may use: filtered and checked.
  std::vector<Observation> observations;
  /// Sizes at budgets where the law is of the frontier; else one cell per observation.
  bool on_frontier = false;
  Better better = Better::kLower;
  std::vector<Cell> cells;
  /// What is fitted: cells of the frontier, or all.
  std::vector<Cell> points;
  /// ln of each column's geometric mean over the points.
  std::vector<double> log_scale;
  std::vector<std::string> warnings;
};

/// Resolves and checks. Errors: as `fit`.
absl::StatusOr<Problem> make_problem(const std::vector<Observation>& observations, const FitOptions& options);

/// The value of a column in one of the problem's cells.
double column_value(const Problem& problem, const Cell& cell, const std::string& column);

/// The cells as rows for the search; a mean of seeds has the mean of their weights.
Sample make_sample(const std::vector<Cell>& points, const Problem& problem);

/// Coefficient of determination of the raw values at a law's points.
double r_squared(const Law& law, const Form& form);

}  // namespace scalelaw::analysis
