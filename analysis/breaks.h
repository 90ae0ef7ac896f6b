// How many breaks a broken power law needs.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "analysis/criterion.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

/// Of held-out errors that differ by less than this share, the one with fewer breaks is better.
inline constexpr double kAlikeErrors = 0.1;

/// The form among `broken-power`, `broken-power-2`, `broken-power-3` that extrapolates best: each is fitted to the
/// rows below, the third of the rows with the largest x is held out, and the least root mean square residual there
/// wins (of errors within kAlikeErrors of the least, that with the fewest breaks).
struct ChosenBreaks {
  std::string form;
  /// Of each number of breaks that the rows can carry, from 1 on.
  std::vector<double> held_out_rmse;
};
/// Errors: FAILED_PRECONDITION where the rows cannot carry even one break and a held-out row.
absl::StatusOr<ChosenBreaks> choose_breaks(const Sample& sample, const Criterion& criterion);

}  // namespace scalelaw::analysis
