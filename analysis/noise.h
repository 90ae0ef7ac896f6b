// How far runs scatter about a curve.
#pragma once

#include <string>
#include <vector>

#include "analysis/linearised.h"
#include "analysis/problem.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

/// Standard deviation of one run of weight 1 about the curve, in units of the residual. A row's weight is what its
/// value is worth in runs: the variance of its noise is σ²/weight.
struct Noise {
  double sigma = 0;
  int dof = 0;
  /// Independent between runs, so that a mean of seeds has less of it. False where the curve misses the points by more
  /// than seeds differ: more seeds would not help.
  bool per_run = true;
};

Noise estimate_noise(const Problem& problem, const Sample& sample, const Optimum& optimum);

/// What one unit of 2·ΔlogL is worth in the objective.
struct LikelihoodScale {
  /// 2·ΔlogL = 2·(objective − minimum)/unit.
  double unit = 0;
  /// Of the coordinates' estimates in units of `Linearised::inverse`: E ψ²/(E ψ′)².
  double variance = 0;
  /// Of the estimate of `unit`.
  int dof = 1;
  /// Quantile of F(1, dof): what 2·ΔlogL of one parameter at its true value exceeds in 5 % of studies.
  double critical95() const;
};

/// For least squares the noise's variance. For other penalties that of the drop in ρ under the null (Schrader and
/// Hettmansperger 1980): E ψ²/E ψ′, with the expected ψ′ from differences of ψ over a bandwidth of the residuals, as ψ
/// itself may be a step.
LikelihoodScale likelihood_scale(const Problem& problem, const Linearised& linearised, const Noise& noise);

/// Says in words that the noise is not the same everywhere, where Glejser's test (1969, studentised as Koenker's) finds
/// |residual| to depend on a column at 1 %; empty otherwise and for fewer than 20 points.
std::string uneven_noise(const Problem& problem, const Sample& sample, const Linearised& linearised);

}  // namespace scalelaw::analysis
