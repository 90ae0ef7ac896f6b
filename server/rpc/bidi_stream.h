// A two-way stream with a queue of outgoing messages.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

namespace scalelaw::server {

/// Keeps gRPC's rules (one read, one write, one Finish at a time) so that `send` and `finish` may be called from any
/// thread at any time. Holds itself alive until gRPC is done with it; others may hold it longer.
template <class In, class Out>
class BidiStream : public grpc::ServerBidiReactor<In, Out>, public std::enable_shared_from_this<BidiStream<In, Out>> {
 public:
  /// Once, after it was made as a shared_ptr.
  void start() {
    self_ = this->shared_from_this();
    read();
  }

  /// Queues a message; dropped if the stream is ending.
  void send_message(Out message) {
    const std::lock_guard lock(mutex_);
    if (ending_.has_value()) return;
    queue_.push_back(std::move(message));
    write_next();
  }
  /// Ends the stream after what is queued. The first call decides.
  void finish(grpc::Status status) {
    const std::lock_guard lock(mutex_);
    if (ending_.has_value()) return;
    ending_ = std::move(status);
    write_next();
  }

  void OnReadDone(bool ok) final {
    if (ok) {
      received(std::move(incoming_));
    } else {
      half_closed();
    }
  }
  void OnWriteDone(bool ok) final {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (ok) {
      queue_.pop_front();
    } else {
      queue_.clear();
      if (!ending_.has_value()) ending_ = grpc::Status::CANCELLED;
    }
    write_next();
  }
  void OnCancel() final {
    const std::lock_guard lock(mutex_);
    if (!writing_) queue_.clear();
    if (!ending_.has_value()) ending_ = grpc::Status::CANCELLED;
    write_next();
  }
  void OnDone() final {
    closed();
    self_.reset();
  }

 protected:
  /// The next message; call `read` when ready for another.
  virtual void received(In message) = 0;
  /// The client will send no more.
  virtual void half_closed() = 0;
  /// The stream is over.
  virtual void closed() = 0;

  /// Nothing if the stream is ending.
  void read() {
    const std::lock_guard lock(mutex_);
    if (ending_.has_value()) return;
    incoming_.Clear();
    this->StartRead(&incoming_);
  }

 private:
  // With mutex_ held.
  void write_next() {
    if (writing_ || finished_) return;
    if (!queue_.empty()) {
      writing_ = true;
      this->StartWrite(&queue_.front());
    } else if (ending_.has_value()) {
      finished_ = true;
      this->Finish(*ending_);
    }
  }

  std::shared_ptr<BidiStream> self_;
  In incoming_;
  std::mutex mutex_;
  std::deque<Out> queue_;
  bool writing_ = false;
  bool finished_ = false;
  std::optional<grpc::Status> ending_;
};

}  // namespace scalelaw::server
