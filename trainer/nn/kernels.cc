#include "trainer/nn/kernels.h"

#include <cstdlib>
#include <string_view>

namespace scalelaw::trainer {

namespace {

#if defined(__x86_64__)
// By feature: clang-tidy does not know the levels' names.
bool has_x86_64_v3() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}
bool has_x86_64_v4() {
  return has_x86_64_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = []() -> const Kernels& {
#if defined(__x86_64__)
    // SCALELAW_KERNELS=baseline|avx2: to compare them, and to look for a fault in one.
    const char* wanted = std::getenv("SCALELAW_KERNELS");
    std::string_view limit = wanted ? wanted : "avx512";
    if (limit == "avx512" && has_x86_64_v4()) return kAvx512Kernels;
    if (limit != "baseline" && has_x86_64_v3()) return kAvx2Kernels;
#endif
    return kBaselineKernels;
  }();
  return chosen;
}

}  // namespace scalelaw::trainer
