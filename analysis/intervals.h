// Intervals of the parameters and what the data do not say about them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/bootstrap.h"
#include "analysis/law.h"
#include "analysis/linearised.h"
#include "analysis/noise.h"
#include "analysis/problem.h"
#include "analysis/profile.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

/// *percentile*: quantiles of the draws. *bca*: quantiles corrected for the draws' median bias and for a standard error
/// that changes with the parameter (Efron 1987, eqs. 2.3 and 6.6). *profile*: see analysis/profile.h.
enum class Intervals { kPercentile, kBca, kProfile };

std::string_view name_of(Intervals intervals);
/// Errors: INVALID_ARGUMENT for an unknown name. Empty: percentile.
absl::StatusOr<Intervals> choose_intervals(std::string_view name);

/// BCa's 2.5 % and 97.5 % points of sorted draws about `value`.
Interval bca_interval(const std::vector<double>& sorted, double value, double acceleration);

/// Acceleration of each parameter: a sixth of the skewness of what leaving out one unit (run or row; of many, a group
/// of units) does to it. Leaving out a group of several gives the same number, as skewness falls with √size as the
/// denominator does.
std::vector<double> accelerations(const Problem& problem, const Sample& sample, const Optimum& optimum,
                                  const std::vector<std::vector<int>>& units, int threads);

/// What the intervals are made from.
struct Evidence {
  const Problem& problem;
  const Sample& sample;
  const std::vector<Optimum>& optima;
  const Linearised& linearised;
  const LikelihoodScale& scale;
  const std::vector<Draw>& draws;
  Resampling resampling;
  int threads;
};

/// Values, standard errors, intervals (none for those that are `fixed`), and `profiles` where intervals are of profile
/// likelihood.
std::vector<Parameter> describe_parameters(const Evidence& evidence, const std::map<std::string, double>& fixed,
                                           Intervals intervals, std::vector<Profile>& profiles);

}  // namespace scalelaw::analysis
