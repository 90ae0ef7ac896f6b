#include "cli/interrupt.h"

#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include <gtest/gtest.h>

namespace scalelaw::cli {
namespace {

TEST(Interrupt, IsToldOfEverySignalWhicheverThreadGetsIt) {
  std::mutex mutex;
  std::condition_variable changed;
  int signals = 0;
  Interrupt interrupt([&] {
    std::lock_guard lock(mutex);
    ++signals;
    changed.notify_all();
  });
  EXPECT_FALSE(interrupt.requested());
  for (int expected = 1; expected <= 2; ++expected) {
    kill(getpid(), expected == 1 ? SIGINT : SIGTERM);
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return signals == expected; });
  }
  EXPECT_TRUE(interrupt.requested());
}

TEST(Interrupt, LeavesTheSignalAsItWas) {
  struct sigaction before {
  }, after{};
  sigaction(SIGINT, nullptr, &before);
  { Interrupt interrupt; }
  sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

}  // namespace
}  // namespace scalelaw::cli
