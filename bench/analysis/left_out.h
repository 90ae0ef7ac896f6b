// Coverage on published runs: fit to the cheaper ones, predict the dearer ones.
#pragma once

#include <vector>

#include "analysis/law.h"

namespace scalelaw::analysis {

struct LeftOut {
  double k = 0;
  int fitted = 0;
  int held_out = 0;
  /// Shares of the held-out runs inside.
  double inside50 = 0;
  double inside95 = 0;
  /// Mean of ln predicted − ln observed.
  double bias = 0;
};

/// Fits to the runs below C_max/k and predicts those above, for each k that leaves enough to fit.
std::vector<LeftOut> leave_out_largest(const std::vector<Observation>& runs, FitOptions options,
                                       const std::vector<double>& factors);

}  // namespace scalelaw::analysis
