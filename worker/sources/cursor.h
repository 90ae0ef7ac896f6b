/// Where the delivery of one record source stands. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

namespace scalelaw::worker {

/// The bytes of a source are delivered in order, in batches; several may be on their way. Acknowledgements come back
/// one per batch, in order, each with the offset up to which everything is committed. An offset short of a batch's end
/// means that the batch was not applied: delivery goes on from the offset that the acknowledgement names.
class DeliveryCursor {
 public:
  /// Where the next batch begins.
  std::int64_t next() const { return next_; }
  /// Everything before this byte is committed at the coordinator.
  std::int64_t committed() const { return committed_; }
  std::size_t in_flight() const { return in_flight_.size(); }

  /// A batch [next(), end) is on its way; end > next().
  void sent(std::int64_t end);
  /// The oldest batch in flight was answered. An answer to nothing only moves `committed`.
  void acknowledged(std::int64_t offset);
  /// A new stream: whatever was in flight is forgotten, delivery goes on from what is committed.
  void restart(std::int64_t committed);

 private:
  struct Batch {
    std::int64_t end;
    // Sent before delivery went back to an earlier offset: its answer says nothing new.
    bool abandoned;
  };
  std::int64_t next_ = 0;
  std::int64_t committed_ = 0;
  std::deque<Batch> in_flight_;
};

}  // namespace scalelaw::worker
