#include "trainer/nn/kernels.h"

#include <cstdlib>
#include <string_view>

namespace scalelaw::trainer {

const Kernels& kernels() {
  static const Kernels& chosen = []() -> const Kernels& {
#if defined(__x86_64__)
    // SCALELAW_KERNELS=baseline|avx2: to compare them, and to look for a fault in one.
    const char* wanted = std::getenv("SCALELAW_KERNELS");
    std::string_view limit = wanted ? wanted : "avx512";
    if (limit == "avx512" && __builtin_cpu_supports("x86-64-v4")) return kAvx512Kernels;
    if (limit != "baseline" && __builtin_cpu_supports("x86-64-v3")) return kAvx2Kernels;
#endif
    return kBaselineKernels;
  }();
  return chosen;
}

}  // namespace scalelaw::trainer
