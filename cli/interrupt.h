// Ctrl-C as an event instead of a sudden death.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace scalelaw::cli {

/// While it lives, SIGINT and SIGTERM call `on_signal` on a thread of its own, each time one arrives. Make it before
/// other threads start: they inherit that these signals are blocked. One at a time.
class Interrupt {
 public:
  explicit Interrupt(std::function<void()> on_signal = [] {});
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const { return requested_; }

 private:
  std::function<void()> on_signal_;
  std::atomic<bool> requested_ = false;
  std::atomic<bool> ending_ = false;
  std::thread waiter_;
};

}  // namespace scalelaw::cli
