#include "cli/interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace scalelaw::cli {
namespace {

constexpr char kSignal = 's';
constexpr char kEnd = 'e';

// A handler may do little more than write to a pipe.
std::atomic<int> write_end = -1;

void tell(char what) {
  int error = errno;
  [[maybe_unused]] ssize_t written = write(write_end, &what, 1);
  errno = error;
}

void handle(int) {
  tell(kSignal);
}

}  // namespace

Interrupt::Interrupt(std::function<void()> on_signal) : on_signal_(std::move(on_signal)) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return;  // out of descriptors: signals end the program as they would anyway
  read_end_ = ends[0];
  write_end = ends[1];
  waiter_ = std::thread([this] {
    for (char what = 0; what != kEnd;) {
      ssize_t got = read(read_end_, &what, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got != 1) return;
      if (what != kSignal) continue;
      requested_ = true;
      on_signal_();
    }
  });
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &before_int_);
  sigaction(SIGTERM, &action, &before_term_);
}

Interrupt::~Interrupt() {
  if (read_end_ < 0) return;
  sigaction(SIGINT, &before_int_, nullptr);
  sigaction(SIGTERM, &before_term_, nullptr);
  tell(kEnd);
  waiter_.join();
  close(read_end_);
  close(write_end.exchange(-1));
}

}  // namespace scalelaw::cli
