// The compute frontier of an isoFLOP ladder: how good can a model be for a given compute budget?
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/law.h"

namespace scalelaw::analysis {

enum class Better { kLower, kHigher };

/// One size at one budget: the mean of its seeds.
struct Cell {
  double budget_flops = 0;
  /// Geometric means over the seeds (which differ by rounding to whole steps only).
  double params = 0;
  double samples = 0;
  double flops = 0;
  /// Mean of the seeds' values.
  double value = 0;
  /// Indices of the observations averaged.
  std::vector<int> members;
};

inline constexpr double kSameBudget = 0.02;

/// The cells of a ladder, by budget, then by size. Observations belong to one budget when their budget (or, where they
/// had none, their flops) agrees within a share, and to one size when their params do within 0.1 %.
std::vector<Cell> cells(const std::vector<Observation>& observations, double same_budget = kSameBudget);

/// The best cell of each budget, by budget: minimum of a loss, maximum of a score.
///
/// This is Approach 1 of Hoffmann et al. 2022 on a ladder: an envelope over the sizes that were tried. It is biased
/// to the good side by the noise of the best of several, and to the bad side by the gaps between sizes; both are part
/// of the scatter about the fitted law and so of its intervals.
std::vector<Cell> frontier(const std::vector<Observation>& observations, Better better);

/// The parabola in ln N through one budget's sizes, and its extremum (Approach 2 of Hoffmann et al. 2022).
struct IsoFlop {
  double budget_flops = 0;
  std::vector<Cell> cells;
  /// value ≈ c0 + c1·ln N + c2·(ln N)².
  double c0 = 0, c1 = 0, c2 = 0;
  double best_params = 0;
  double best_value = 0;
  /// False where there are fewer than three sizes, the parabola bends the wrong way, or its extremum lies outside the
  /// sizes that were tried: then best_params and best_value are those of the best size tried.
  bool bracketed = false;
  /// Why it is not bracketed; empty otherwise.
  std::string reason;
};

/// The parabola through one budget's sizes, at least one.
IsoFlop isoflop_minimum(std::vector<Cell> sizes, Better better);

/// One parabola per budget that has at least one size.
std::vector<IsoFlop> isoflop_minima(const std::vector<Observation>& observations, Better better);

}  // namespace scalelaw::analysis
