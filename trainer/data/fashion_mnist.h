// Debian's copy of Fashion-MNIST (package dataset-fashion-mnist): 70,000 photographs, 28×28 grey, ten classes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace scalelaw::trainer {

inline constexpr int64_t kPhotographSide = 28;

struct Photographs {
  int64_t count = 0;
  std::vector<uint8_t> pixels;  // [count, 28, 28]
  std::vector<uint8_t> labels;  // [count], 0–9
};

/// Reads `<directory>/<prefix>-images-idx3-ubyte.gz` and `…-labels-idx1-ubyte.gz`; prefix is `train` (60,000) or `t10k`
/// (10,000, test). Throws BadRun naming the file, and the package to install where it is missing.
Photographs read_photographs(const std::string& directory, const std::string& prefix);

}  // namespace scalelaw::trainer
