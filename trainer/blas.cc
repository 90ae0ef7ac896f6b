#include "trainer/blas.h"

#include <dlfcn.h>

#include <fmt/format.h>

namespace scalelaw::trainer {

void warn_of_slow_blas() {
  for (const char* symbol : {"openblas_get_config", "mkl_get_version", "MKL_Get_Version"}) {
    if (dlsym(RTLD_DEFAULT, symbol)) return;
  }
  fmt::print(stderr,
             "scalelaw-train: warning: libblas.so.3 is not OpenBLAS, training will be several times slower; "
             "install libopenblas0-pthread\n");
}

}  // namespace scalelaw::trainer
