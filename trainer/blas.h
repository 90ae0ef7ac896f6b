#pragma once

namespace scalelaw::trainer {

/// Debian's libtorch calls whatever `libblas.so.3` is installed, and the reference one is four to six times slower than
/// OpenBLAS. Says so on standard error, with the package to install.
void warn_of_slow_blas();

}  // namespace scalelaw::trainer
