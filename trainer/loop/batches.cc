#include "trainer/loop/batches.h"

namespace scalelaw::trainer {

Batches::Batches(const Dataset& data, uint64_t seed, const Share& share)
    : data_(data), order_(data.size(), seed), share_(share) {}

Batches::~Batches() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Batches::start(int64_t step) {
  step_ = step;
  if (data_.is_slow()) thread_ = std::thread([this] { prepare(); });
}

Batch Batches::next() {
  if (!thread_.joinable()) return read();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || failure_; });
  // What was read before the failure is still good.
  if (ready_.empty()) std::rethrow_exception(failure_);
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return batch;
}

Batch Batches::read() {
  const int64_t first = step_ * share_.batch + share_.first + part_ * share_.size;
  Batch batch = data_.batch(order_.samples(first, share_.size));
  if (++part_ == share_.parts) {
    part_ = 0;
    ++step_;
  }
  return batch;
}

void Batches::prepare() {
  for (;;) {
    Batch batch;
    try {
      batch = read();
    } catch (...) {
      std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      changed_.notify_all();
      return;
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ready_.size() < kAhead || closing_; });
    if (closing_) return;
    ready_.push_back(std::move(batch));
    changed_.notify_all();
  }
}

}  // namespace scalelaw::trainer
