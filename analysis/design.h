// Optimal design on a covariance: which measurements tell most about one number.
#pragma once

#include <Eigen/Dense>

#include <vector>

namespace scalelaw::analysis {

/// What is known of a target and of candidates for measuring: their joint covariance, candidates first, the target
/// last; a measurement adds noise of variance `noise`.
struct Design {
  Eigen::MatrixXd covariance;
  double noise = 0;
  /// Cost of measuring each candidate once, and how often it may be.
  std::vector<double> cost;
  std::vector<int> repeats;
};

struct DesignLimits {
  double budget = 0;
  int max_runs = 0;
  /// The target's variance that is enough after 0, 1, …, max_runs measurements. Empty: as little as can be.
  std::vector<double> enough;
};

/// Candidates to measure, in the order of most reduction per cost, that make the target's variance least within the
/// limits: greedy by reduction per cost and by reduction alone, each improved by exchange, the better of the two.
std::vector<int> choose(const Design& design, const DesignLimits& limits);

/// The target's variance after each of the measurements, in turn; first, before any.
std::vector<double> variances(const Design& design, const std::vector<int>& measured);

}  // namespace scalelaw::analysis
