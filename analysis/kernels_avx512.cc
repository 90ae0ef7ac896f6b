#if defined(__x86_64__)
#define SCALELAW_KERNELS_NAME "avx512"
#define SCALELAW_KERNELS kAvx512Kernels
#include "analysis/kernels_body.h"
#endif
