// Uncertainty of a fit: replicates of the study, each fitted from scratch with the full global search.
//
// Two ways to make a replicate, by how many runs there are:
//
// *Pairs* (at least kPairsRuns runs, every run a point): runs are drawn with replacement, with all their points.
//
// *Model* (fewer, and always on a frontier, whose handful of points cannot be resampled): every run's value is
// disturbed by noise of standard deviation σ_d, the frontier is taken anew (another size may win), and the disturbance
// of each frontier point is put on the fitted curve. What taking the best of several noisy sizes adds on average is
// subtracted: it is in the points that were fitted already.
//
// σ is estimated with degrees of freedom ν: from the scatter about the curve (points − parameters), pooled with the
// scatter between seeds of one size where that explains it. Each replicate takes its own σ_d = σ·√(ν/χ²_ν), so that
// what comes out has Student's, not Gauss's, tails: for a linear model the resulting intervals are the exact ones. It
// matters: with two degrees of freedom ±1.96 σ holds 81 %, not 95 %. bench/analysis/coverage.cc measures the rates.
#pragma once

#include <cstdint>
#include <vector>

#include "analysis/law.h"
#include "analysis/problem.h"
#include "analysis/search.h"

namespace scalelaw::analysis {

inline constexpr int kPairsRuns = 30;

/// Standard deviation of one run about the curve, in units of the residual.
struct Noise {
  double sigma = 0;
  int dof = 0;
  /// Independent between runs, so that a mean of seeds has less of it. False where the curve misses the points by more
  /// than seeds differ: more seeds would not help.
  bool per_run = true;
};

Noise estimate_noise(const Problem& problem, const Sample& sample, const Optimum& optimum);

/// `count` replicates, parameters in natural units. Bit for bit the same for any number of threads.
std::vector<Draw> bootstrap(const Problem& problem, const Sample& sample, const Optimum& optimum, const Noise& noise,
                            int count, std::uint64_t seed, int threads);

}  // namespace scalelaw::analysis
