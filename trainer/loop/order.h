// Which scenes each batch holds: every epoch all of them once, in an order that depends on the seed and the epoch only.
#pragma once

#include <cstdint>
#include <vector>

namespace scalelaw::trainer {

class DataOrder {
 public:
  /// `size`: scenes in the pool.
  DataOrder(int64_t size, uint64_t seed) : size_(size), seed_(seed) {}

  /// The scenes of samples [first, first + count) of the run; samples are numbered from its start, whatever the
  /// attempt.
  std::vector<int64_t> samples(int64_t first, int64_t count);

 private:
  void shuffle(int64_t epoch);

  int64_t size_;
  uint64_t seed_;
  int64_t shuffled_epoch_ = -1;
  std::vector<int64_t> order_;
};

}  // namespace scalelaw::trainer
