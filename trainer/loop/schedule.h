// Learning rate and weight average as functions of the step alone.
#pragma once

#include <cstdint>
#include <string>

namespace scalelaw::trainer {

struct Schedule {
  int64_t steps = 1;
  /// Share of the steps.
  double warmup = 0.05;
  /// `constant`, `cosine` (to zero) or `wsd` (constant, then linear to zero over the last fifth).
  std::string shape = "cosine";
};

/// Factor on the peak rate at step 0, 1, …, steps − 1: rises linearly over the warm-up; `cosine` and `wsd` reach
/// zero after the last.
double rate_factor(const Schedule& schedule, int64_t step);

/// Share of the newest weights in the running average after `step` (1, 2, …) updates. The average remembers a fixed
/// share `ema` of the run so far (a power-law average, Karras et al. 2023), so that short and long runs are treated
/// alike. ema 0: the newest weights alone.
double average_share(double ema, int64_t step);

}  // namespace scalelaw::trainer
