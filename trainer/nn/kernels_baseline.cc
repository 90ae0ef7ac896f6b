#include "trainer/nn/kernels_body.h"

namespace scalelaw::trainer {
extern const Kernels kBaselineKernels = kernels_named("baseline");
}  // namespace scalelaw::trainer
