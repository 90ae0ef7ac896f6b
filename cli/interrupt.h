// Ctrl-C as an event instead of a sudden death.
#pragma once

#include <atomic>
#include <csignal>
#include <functional>
#include <thread>

namespace scalelaw::cli {

/// While it lives, SIGINT and SIGTERM call `on_signal` on a thread of its own, each time one arrives, whichever thread
/// the system hands them to. One at a time.
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
  int read_end_ = -1;
  struct sigaction before_int_ {};
  struct sigaction before_term_ {};
  std::thread waiter_;
};

}  // namespace scalelaw::cli
