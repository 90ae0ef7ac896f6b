// The batches that one process needs, in order.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "trainer/data/dataset.h"
#include "trainer/loop/order.h"

namespace scalelaw::trainer {

/// Which samples of every step are this process's: `parts` of `size` from the `first` on, of `batch` in all.
struct Share {
  int64_t batch = 1;
  int64_t first = 0;
  int64_t parts = 1;
  int64_t size = 1;
};

class Batches {
 public:
  /// The data's `is_slow` decides whether another thread prepares the batches to come. `data` must outlive this.
  Batches(const Dataset& data, uint64_t seed, const Share& share);
  ~Batches();

  /// From this step on, before the first `next`.
  void start(int64_t step);
  /// The share's next part. Throws what reading it threw.
  Batch next();

 private:
  Batch read();
  void prepare();

  static constexpr size_t kAhead = 4;

  const Dataset& data_;
  DataOrder order_;
  Share share_;
  int64_t step_ = 0, part_ = 0;  // what `read` reads next

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::exception_ptr failure_;
  bool closing_ = false;
  std::thread thread_;  // only with slow data; then it alone calls `read`
};

}  // namespace scalelaw::trainer
