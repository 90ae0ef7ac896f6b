#define SCALELAW_KERNELS_NAME "baseline"
#define SCALELAW_KERNELS kBaselineKernels
#include "analysis/kernels_body.h"
