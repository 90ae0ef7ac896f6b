#include "worker/sources/cursor.h"

#include <algorithm>

namespace scalelaw::worker {

void DeliveryCursor::sent(std::int64_t end) {
  in_flight_.push_back({end, false});
  next_ = end;
}

void DeliveryCursor::acknowledged(std::int64_t offset) {
  if (in_flight_.empty()) {
    committed_ = std::max(committed_, offset);
    next_ = std::max(next_, committed_);
    return;
  }
  const Batch batch = in_flight_.front();
  in_flight_.pop_front();
  committed_ = std::max(committed_, offset);
  if (offset >= batch.end || batch.abandoned) return;

  // Not applied: neither will be what was sent after it.
  for (Batch& later : in_flight_) later.abandoned = true;
  committed_ = offset;
  next_ = offset;
}

void DeliveryCursor::restart(std::int64_t committed) {
  in_flight_.clear();
  committed_ = committed;
  next_ = committed;
}

}  // namespace scalelaw::worker
