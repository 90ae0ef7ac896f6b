#include "trainer/loop/optimizer.h"

#include <gtest/gtest.h>

#include "trainer/loop/order.h"
#include "trainer/loop/pace.h"
#include "trainer/loop/schedule.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

torch::nn::Sequential network() {
  torch::manual_seed(5);
  return torch::nn::Sequential(torch::nn::Linear(7, 19), torch::nn::Tanh(), torch::nn::Linear(19, 3));
}

Tensor loss_of(torch::nn::Sequential& net, int64_t step) {
  torch::manual_seed(static_cast<uint64_t>(100 + step));
  return (net->forward(torch::randn({10, 7})) - 1).square().mean();
}

TEST(AdamW, AgreesWithTorchWhenNothingIsClipped) {
  torch::nn::Sequential ours = network(), theirs = network();
  AdamWOptions options;
  options.weight_decay = 0.1;
  options.clip = 1e6;
  AdamW fused(*ours, options);
  std::vector<Tensor> matrices, vectors;
  for (const Tensor& p : theirs->parameters()) (p.dim() > 1 ? matrices : vectors).push_back(p);
  auto rate = torch::optim::AdamWOptions(0.01).betas({0.9, 0.99}).eps(1e-8);
  torch::optim::AdamW on_matrices(matrices, torch::optim::AdamWOptions(rate).weight_decay(0.1));
  torch::optim::AdamW on_vectors(vectors, torch::optim::AdamWOptions(rate).weight_decay(0));
  for (int64_t step = 0; step < 20; ++step) {
    fused.clear_gradients();
    loss_of(ours, step).backward();
    fused.step(0.01, 1);
    theirs->zero_grad();
    loss_of(theirs, step).backward();
    on_matrices.step();
    on_vectors.step();
  }
  auto expected = theirs->parameters();
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(torch::allclose(ours->parameters()[i], expected[i], 1e-4, 1e-6)) << i;
  }
}

TEST(AdamW, ReturnsTheNormBeforeClippingAndScalesDownTo) {
  torch::nn::Sequential net = network();
  AdamWOptions options;
  options.clip = 1e-3;
  AdamW optimizer(*net, options);
  optimizer.clear_gradients();
  loss_of(net, 0).backward();
  double squares = 0;
  for (const Tensor& p : net->parameters()) squares += p.grad().square().sum().item<double>();
  EXPECT_NEAR(optimizer.step(0.01, 1), std::sqrt(squares), 1e-6);
  // moment1 = (1 − β1)·clipped gradient, whose norm is the limit.
  EXPECT_NEAR(optimizer.state().moment1.norm().item<double>(), 0.1 * 1e-3, 1e-8);
}

TEST(AdamW, AnInfiniteGradientChangesNothing) {
  torch::nn::Sequential net = network();
  AdamW optimizer(*net, {});
  Tensor before = optimizer.state().weights.clone();
  optimizer.clear_gradients();
  (net->forward(torch::ones({1, 7})).sum() * std::numeric_limits<float>::infinity()).backward();
  EXPECT_FALSE(std::isfinite(optimizer.step(0.01, 1)));
  EXPECT_TRUE(torch::equal(optimizer.state().weights, before));
}

TEST(AdamW, KeepsTheAverageAndSwapsItInAndOut) {
  torch::nn::Sequential net = network();
  AdamW optimizer(*net, {});
  Tensor expected = optimizer.state().weights.clone();
  for (int64_t step = 0; step < 5; ++step) {
    optimizer.clear_gradients();
    loss_of(net, step).backward();
    optimizer.step(0.01, 0.25);
    expected = expected.lerp(optimizer.state().weights, 0.25);
  }
  EXPECT_TRUE(torch::allclose(optimizer.state().average, expected, 1e-5, 1e-7));
  Tensor weights = optimizer.state().weights.clone();
  optimizer.swap_average();
  EXPECT_TRUE(torch::allclose(net->parameters()[0].flatten(), expected.narrow(0, 0, 7 * 19), 1e-5, 1e-7));
  optimizer.swap_average();
  EXPECT_TRUE(torch::equal(optimizer.state().weights, weights));
}

TEST(DataOrder, EveryEpochHoldsEverySceneOnceInItsOwnOrder) {
  DataOrder order(100, 7);
  std::vector<int64_t> first = order.samples(0, 100), second = order.samples(100, 100);
  EXPECT_NE(first, second);
  for (auto* epoch : {&first, &second}) {
    std::sort(epoch->begin(), epoch->end());
    for (int64_t i = 0; i < 100; ++i) EXPECT_EQ((*epoch)[static_cast<size_t>(i)], i);
  }
}

TEST(DataOrder, GoesOnFromAnySampleAsIfNeverStopped) {
  std::vector<int64_t> whole = DataOrder(100, 7).samples(0, 350);
  std::vector<int64_t> rest = DataOrder(100, 7).samples(130, 220);
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), whole.begin() + 130));
  EXPECT_NE(DataOrder(100, 8).samples(0, 350), whole);
}

TEST(Schedule, RisesToThePeakAndFallsToZero) {
  for (const char* shape : {"cosine", "wsd"}) {
    Schedule schedule{1000, 0.1, shape};
    EXPECT_NEAR(rate_factor(schedule, 0), 0.01, 1e-9) << shape;
    EXPECT_NEAR(rate_factor(schedule, 99), 1, 1e-3) << shape;
    EXPECT_LT(rate_factor(schedule, 999), 0.006) << shape;
    EXPECT_GT(rate_factor(schedule, 999), 0) << shape;
  }
  EXPECT_EQ(rate_factor({1000, 0.1, "wsd"}, 500), 1);
  EXPECT_NEAR(rate_factor({1000, 0.1, "cosine"}, 549), 0.5, 0.01);
}

TEST(Schedule, TheAverageRemembersAFixedShareOfTheRun) {
  EXPECT_EQ(average_share(0, 1000), 1);
  EXPECT_NEAR(average_share(0.05, 1000), 1.0 / 51, 1e-12);
  EXPECT_NEAR(average_share(0.05, 100000), 1.0 / 5001, 1e-12);
}

TEST(Pace, CountsTheEvaluationInWhatIsLeft) {
  using std::chrono::seconds;
  Pace pace(80, 20);
  Pace::Clock::time_point start{};
  pace.start(0, start);
  EXPECT_FALSE(pace.seconds_left().has_value());
  pace.reached(40, start + seconds(4));
  EXPECT_NEAR(*pace.seconds_left(), 6, 1e-9);
  EXPECT_NEAR(pace.evaluation_seconds(), 2, 1e-9);
  pace.reached(80, start + seconds(8));
  EXPECT_NEAR(pace.fraction(), 0.8, 1e-9);
  EXPECT_NEAR(*pace.seconds_left(), 2, 1e-9);
}

TEST(Pace, CountsOnlyWhatThisAttemptDidAfterAResume) {
  using std::chrono::seconds;
  Pace pace(100, 0);
  Pace::Clock::time_point start{};
  pace.start(90, start);
  pace.reached(95, start + seconds(5));
  EXPECT_NEAR(*pace.seconds_left(), 5, 1e-9);
}

}  // namespace
}  // namespace scalelaw::trainer
