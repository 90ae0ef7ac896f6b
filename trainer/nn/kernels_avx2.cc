#if defined(__x86_64__)  // compiled with the flags that trainer/CMakeLists.txt gives it
#include "trainer/nn/kernels_body.h"

namespace scalelaw::trainer {
extern const Kernels kAvx2Kernels = kernels_named("avx2");
}  // namespace scalelaw::trainer
#endif
