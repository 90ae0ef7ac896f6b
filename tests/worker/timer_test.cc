#include "worker/timer.h"

#include <thread>

#include <gtest/gtest.h>

namespace scalelaw::worker {
namespace {

using namespace std::chrono_literals;

class TimerTest : public ::testing::Test {
 protected:
  // Both have come when the loop first looks: they run in one pass, `first_` before `second_`.
  void run_when_both_have_come() {
    std::this_thread::sleep_for(10ms);
    loop_.run();
  }

  boost::asio::io_context loop_;
  Timer first_{loop_};
  Timer second_{loop_};
};

TEST_F(TimerTest, AHandlerWhoseTimeHasComeDoesNotRunOnceItIsCancelled) {
  bool ran = false;
  first_.after(1ms, [&] { second_.cancel(); });
  second_.after(2ms, [&] { ran = true; });
  run_when_both_have_come();
  EXPECT_FALSE(ran);
  EXPECT_FALSE(second_.armed());
}

TEST_F(TimerTest, AHandlerWhoseTimeHasComeDoesNotRunOnceItIsReplaced) {
  int old_runs = 0;
  int new_runs = 0;
  first_.after(1ms, [&] { second_.after(1ms, [&] { ++new_runs; }); });
  second_.after(2ms, [&] { ++old_runs; });
  run_when_both_have_come();
  EXPECT_EQ(old_runs, 0);
  EXPECT_EQ(new_runs, 1);
}

TEST_F(TimerTest, AHandlerMayArmItsOwnTimerAgain) {
  int runs = 0;
  std::function<void()> again = [&] {
    EXPECT_FALSE(first_.armed());
    if (++runs < 3) first_.after(1ms, again);
  };
  first_.after(1ms, again);
  EXPECT_TRUE(first_.armed());
  loop_.run();
  EXPECT_EQ(runs, 3);
}

}  // namespace
}  // namespace scalelaw::worker
