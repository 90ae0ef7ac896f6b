// Tells a run that cannot recover from one that is merely noisy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace scalelaw::trainer {

class DivergenceGuard {
 public:
  struct State {
    /// Mean loss of the first steps, what an untrained model has; steps seen.
    double first = 0;
    int64_t seen = 0;
    /// Running mean of the loss over about kMemory steps.
    double recent = 0;
  };

  /// `factor`: how many times the untrained model's loss the running mean may reach; 0: any finite loss is well.
  explicit DivergenceGuard(double factor) : factor_(factor) {}

  /// Called after every step with its loss and gradient norm. Why training has diverged; nothing while it has not.
  std::optional<std::string> check(double loss, double gradient_norm);

  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

  static constexpr int64_t kFirstSteps = 20;
  static constexpr int64_t kMemory = 20;

 private:
  double factor_;
  State state_;
};

}  // namespace scalelaw::trainer
