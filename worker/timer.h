/// One timer on the worker's loop, with at most one handler waiting.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace scalelaw::worker {

/// Unlike Asio's own timer, a handler that was cancelled or replaced never runs, not even when its time had already
/// come and it was only waiting for its turn on the loop. Used from the loop's thread alone.
class Timer {
 public:
  explicit Timer(boost::asio::io_context& loop) : timer_(loop) {}

  /// Calls `handler` once, in `delay`; replaces the handler that waits.
  void after(std::chrono::milliseconds delay, std::function<void()> handler) {
    const std::uint64_t number = ++number_;
    armed_ = true;
    timer_.expires_after(delay);
    timer_.async_wait([this, number, handler = std::move(handler)](const boost::system::error_code& error) {
      if (error || number != number_) return;
      armed_ = false;
      handler();
    });
  }
  void cancel() {
    ++number_;
    armed_ = false;
    timer_.cancel();
  }
  /// Whether a handler waits.
  bool armed() const { return armed_; }

 private:
  boost::asio::steady_timer timer_;
  // Of the newest handler.
  std::uint64_t number_ = 0;
  bool armed_ = false;
};

}  // namespace scalelaw::worker
