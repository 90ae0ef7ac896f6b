#include "trainer/data/dataset.h"

namespace scalelaw::trainer {

Batch Dataset::range(int64_t begin, int64_t count) const {
  std::vector<int64_t> indices(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) indices[static_cast<size_t>(i)] = (begin + i) % size();
  return batch(indices);
}

}  // namespace scalelaw::trainer
