// FLOPs counted from what runs: every matrix product and convolution that torch dispatches, and what our own kernels
// report. A multiply and an add are two FLOPs; element-wise work is not counted, as in the papers.
#pragma once

#include <functional>

namespace scalelaw::trainer {

/// Runs `work` and returns the FLOPs of its matrix products and convolutions.
double count_flops(const std::function<void()>& work);

/// Called by kernels that torch does not see as matrix products. Does nothing outside `count_flops`.
void report_flops(double flops);

/// While it lives, nothing is counted: for frozen networks inside a loss.
class UncountedFlops {
 public:
  UncountedFlops();
  ~UncountedFlops();
  UncountedFlops(const UncountedFlops&) = delete;
  UncountedFlops& operator=(const UncountedFlops&) = delete;
};

}  // namespace scalelaw::trainer
