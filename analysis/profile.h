// Profile likelihood: how much worse the best fit gets when one parameter is held at a value.
#pragma once

#include <string>
#include <vector>

#include "analysis/law.h"
#include "analysis/linearised.h"
#include "analysis/noise.h"
#include "analysis/problem.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

/// A parameter's 95 % interval with the sides on which it never ends (see `Parameter::unbounded`).
struct Interval {
  double low = 0;
  double high = 0;
  std::string unbounded;
};

/// 2·ΔlogL along one parameter in natural units, on both sides of the best of `optima` until it has risen well above
/// the critical value or nothing more changes; from each optimum that the data cannot exclude, the lower envelope.
///
/// Every point is an exact constrained minimum: the objective plus κ/2·(u(c) − target)², minimised over the coordinates
/// c, is stationary where the objective is along u = u(c), so what is recorded is that u(c) and its objective.
Profile profile_likelihood(const Problem& problem, const Sample& sample, const std::vector<Optimum>& optima,
                           const Linearised& linearised, const LikelihoodScale& scale, int parameter);

/// Where the profile crosses its critical value; on a side where it does not, the end of what is possible.
Interval profile_interval(const Profile& profile, const ParameterScale& scale, int parameter);

}  // namespace scalelaw::analysis
