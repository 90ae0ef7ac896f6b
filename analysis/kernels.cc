#include "analysis/kernels.h"

#include <cmath>
#include <cstdlib>
#include <string_view>

namespace scalelaw::analysis {

Shape::Shape(const Criterion& criterion) : log(criterion.residual == Residual::kLog) {
  switch (criterion.penalty) {
    case Penalty::kL2:
      threshold = HUGE_VAL;
      break;
    case Penalty::kHuber:
      threshold = slope = criterion.delta;
      offset = criterion.delta * criterion.delta / 2;
      break;
    case Penalty::kLad:
      threshold = -1;
      slope = 1;
      break;
  }
}

const Kernels& kernels() {
  static const Kernels& chosen = []() -> const Kernels& {
#if defined(__x86_64__)
    // To compare them, and to look for a fault in one.
    const char* wanted = std::getenv("SCALELAW_KERNELS");
    const std::string_view limit = wanted ? wanted : "avx512";
    if (limit == "avx512" && __builtin_cpu_supports("x86-64-v4")) return kAvx512Kernels;
    if (limit != "baseline" && __builtin_cpu_supports("x86-64-v3")) return kAvx2Kernels;
#endif
    return kBaselineKernels;
  }();
  return chosen;
}

}  // namespace scalelaw::analysis
