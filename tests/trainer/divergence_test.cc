#include "trainer/loop/divergence.h"

#include <limits>

#include <gtest/gtest.h>

#include "trainer/loop/schedule.h"

namespace scalelaw::trainer {
namespace {

DivergenceGuard trained(int64_t steps, double loss) {
  DivergenceGuard guard(10);
  for (int64_t i = 0; i < steps; ++i) EXPECT_FALSE(guard.check(loss, 1.0));
  return guard;
}

TEST(Divergence, ALossOrGradientThatIsNotFiniteIsSaid) {
  EXPECT_NE(trained(3, 2).check(std::numeric_limits<double>::quiet_NaN(), 1)->find("the loss is nan"),
            std::string::npos);
  EXPECT_NE(trained(3, 2).check(2, std::numeric_limits<double>::infinity())->find("norm is inf"), std::string::npos);
}

TEST(Divergence, OneSpikeIsNoise) {
  DivergenceGuard guard = trained(100, 2);
  EXPECT_FALSE(guard.check(100, 1));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(guard.check(2, 1));
}

TEST(Divergence, ALossThatStaysFarAboveTheUntrainedModelsIsSaidWithItsSize) {
  DivergenceGuard guard = trained(100, 2);
  std::optional<std::string> reason;
  int steps = 0;
  while (!reason && steps < 1000) {
    reason = guard.check(60, 1);
    ++steps;
  }
  ASSERT_TRUE(reason);
  EXPECT_LT(steps, 100);
  EXPECT_NE(reason->find("times that of the first 20 steps"), std::string::npos) << *reason;
}

TEST(Divergence, GoesOnWhereItWas) {
  DivergenceGuard whole = trained(50, 2), resumed(10);
  resumed.restore(trained(50, 2).state());
  for (int i = 0; i < 30; ++i) EXPECT_EQ(whole.check(40 + i, 1), resumed.check(40 + i, 1));
}

TEST(Divergence, FactorZeroNeverStopsAFiniteLoss) {
  DivergenceGuard guard(0);
  for (int i = 0; i < 200; ++i) EXPECT_FALSE(guard.check(i < 100 ? 1 : 1e9, 1));
}

TEST(Schedule, ConstantStaysAtThePeakAfterTheWarmUp) {
  Schedule schedule{.steps = 100, .warmup = 0.1, .shape = "constant"};
  EXPECT_NEAR(rate_factor(schedule, 0), 0.1, 1e-12);
  for (int64_t step = 9; step < 100; ++step) EXPECT_EQ(rate_factor(schedule, step), 1);
}

}  // namespace
}  // namespace scalelaw::trainer
