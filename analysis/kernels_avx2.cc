#if defined(__x86_64__)
#define SCALELAW_KERNELS_NAME "avx2"
#define SCALELAW_KERNELS kAvx2Kernels
#include "analysis/kernels_body.h"
#endif
