// A server stream that looks for news at intervals.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <utility>

#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

namespace scalelaw::server {

/// Asks `poll` once per interval, sends what it gives, and ends when it says so or the client is gone. Deletes itself.
template <class Message>
class PolledStream : public grpc::ServerWriteReactor<Message> {
 public:
  struct News {
    /// Nothing: no news.
    std::optional<Message> message;
    /// The stream ends after this, with the status.
    bool last = false;
    grpc::Status status;
  };

  explicit PolledStream(std::chrono::milliseconds interval) : interval_(interval) {}

  /// Once, when the object is complete.
  void start() { look(); }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      this->Finish(grpc::Status::CANCELLED);
    } else if (news_.last) {
      this->Finish(news_.status);
    } else {
      wait();
    }
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { delete this; }

 protected:
  /// Never called concurrently.
  virtual News poll() = 0;

 private:
  void look() {
    news_ = poll();
    if (news_.message.has_value()) {
      this->StartWrite(&*news_.message);
    } else if (news_.last) {
      this->Finish(news_.status);
    } else {
      wait();
    }
  }
  void wait() {
    alarm_.Set(std::chrono::system_clock::now() + interval_, [this](bool) {
      if (cancelled_) {
        this->Finish(grpc::Status::CANCELLED);
      } else {
        look();
      }
    });
  }

  const std::chrono::milliseconds interval_;
  News news_;
  grpc::Alarm alarm_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace scalelaw::server
