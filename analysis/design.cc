#include "analysis/design.h"

#include <algorithm>
#include <limits>

namespace scalelaw::analysis {
namespace {

/// Gains below this share are rounding.
constexpr double kGain = 1e-6;
constexpr int kPasses = 8;

/// The covariance given what has been measured so far, and what that has cost.
class State {
 public:
  State(const Design& design, const DesignLimits& limits)
      : design_(&design), limits_(&limits), k_(design.covariance), used_(design.cost.size(), 0) {}

  double variance() const { return k_(target(), target()); }
  double spent() const { return spent_; }
  bool enough() const { return !limits_->enough.empty() && variance() <= limits_->enough[measured_.size()]; }
  const std::vector<int>& measured() const { return measured_; }
  /// How much a measurement would lower the target's variance.
  double reduction(int c) const {
    const double shared = k_(c, target());
    return shared * shared / (k_(c, c) + design_->noise);
  }
  bool affordable(int c) const {
    // Rounding must not cost the last run of a budget that was made to fit.
    return used_[c] < design_->repeats[c] && spent_ + design_->cost[c] <= limits_->budget * (1 + 1e-9) &&
           static_cast<int>(measured_.size()) < limits_->max_runs;
  }
  void measure(int c) {
    const Eigen::VectorXd shared = k_.col(c);
    k_.noalias() -= shared * shared.transpose() / (shared[c] + design_->noise);
    ++used_[c];
    spent_ += design_->cost[c];
    measured_.push_back(c);
  }
  /// The affordable candidate with the most reduction, per cost or alone; −1 where none brings any.
  int best(bool per_cost) const {
    int best = -1;
    double most = 0;
    for (int c = 0; c < target(); ++c) {
      if (!affordable(c)) continue;
      const double gain = reduction(c);
      const double rank = per_cost ? gain / design_->cost[c] : gain;
      if (gain > kGain * kGain * variance() && rank > most) {
        most = rank;
        best = c;
      }
    }
    return best;
  }
  void fill(bool per_cost) {
    while (!enough()) {
      const int c = best(per_cost);
      if (c < 0) return;
      measure(c);
    }
  }

 private:
  int target() const { return static_cast<int>(design_->cost.size()); }

  const Design* design_;
  const DesignLimits* limits_;
  Eigen::MatrixXd k_;
  std::vector<int> used_;
  std::vector<int> measured_;
  double spent_ = 0;
};

/// Whether a is the better end: with enough known the cheaper, else the one that knows more.
bool better(const State& a, const State& b) {
  if (a.enough() != b.enough()) return a.enough();
  return a.enough() ? a.spent() < b.spent() * (1 - kGain) : a.variance() < b.variance() * (1 - kGain);
}

/// Leaves out one run at a time and fills the room anew.
State exchange(const Design& design, const DesignLimits& limits, State state) {
  for (int pass = 0; pass < kPasses; ++pass) {
    bool improved = false;
    for (size_t out = 0; out < state.measured().size(); ++out) {
      State without(design, limits);
      for (size_t i = 0; i < state.measured().size(); ++i)
        if (i != out) without.measure(state.measured()[i]);
      for (bool per_cost : {false, true}) {
        State other = without;
        other.fill(per_cost);
        if (!better(other, state)) continue;
        state = std::move(other);
        improved = true;
        break;
      }
    }
    if (!improved) break;
  }
  return state;
}

}  // namespace

std::vector<int> choose(const Design& design, const DesignLimits& limits) {
  State by_cost(design, limits), alone(design, limits);
  by_cost.fill(true);
  alone.fill(false);
  by_cost = exchange(design, limits, std::move(by_cost));
  alone = exchange(design, limits, std::move(alone));
  std::vector<int> chosen = better(alone, by_cost) ? alone.measured() : by_cost.measured();

  State state(design, limits);
  std::vector<int> ordered;
  while (!chosen.empty()) {
    const auto next = std::max_element(chosen.begin(), chosen.end(), [&](int a, int b) {
      return state.reduction(a) / design.cost[a] < state.reduction(b) / design.cost[b];
    });
    state.measure(*next);
    ordered.push_back(*next);
    chosen.erase(next);
  }
  return ordered;
}

std::vector<double> variances(const Design& design, const std::vector<int>& measured) {
  const DesignLimits none{};
  State state(design, none);
  std::vector<double> result = {state.variance()};
  for (int c : measured) {
    state.measure(c);
    result.push_back(state.variance());
  }
  return result;
}

}  // namespace scalelaw::analysis
