// Curves thinned for a plot: nothing that matters is lost, and nothing is sent that no screen could show.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/store_fixture.h"

namespace scalelaw::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Ge;
using testing::Gt;
using testing::Le;
using testing::Lt;

class CurvesOfAPlot : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    with_a_running_attempt();
  }
  void add(const std::vector<int64_t>& steps, double spike_at = -1) {
    std::vector<v1::Record> records;
    for (const int64_t step : steps)
      records.push_back(metrics(step, static_cast<double>(step) == spike_at ? 99 : 1 / static_cast<double>(step)));
    ingest(1, offset_, offset_ + 1, std::move(records));
    ++offset_;
  }
  static std::vector<int64_t> every(int64_t stride, int64_t last) {
    std::vector<int64_t> steps;
    for (int64_t step = stride; step <= last; step += stride) steps.push_back(step);
    return steps;
  }
  static CurveQuery query(int points) {
    CurveQuery query;
    query.sweep_id = 1;
    query.metric = "loss";
    query.points = points;
    return query;
  }
  ThinnedCurve curve(const CurveQuery& query, bool extrema = true) {
    const auto thinned = store->thinned_curves(query);
    EXPECT_TRUE(thinned.ok()) << thinned.status();
    EXPECT_EQ(thinned->extrema, extrema);
    EXPECT_EQ(thinned->curves.size(), 1);
    return thinned->curves.at(0);
  }
  int64_t offset_ = 0;
};

TEST_F(CurvesOfAPlot, FewPointsAreAllThere) {
  add({1, 2, 5});
  const ThinnedCurve all = curve(query(100));
  EXPECT_THAT(all.x, ElementsAre(1, 2, 5));
  EXPECT_THAT(all.y, ElementsAre(1, 0.5, 0.2));
}

TEST_F(CurvesOfAPlot, ASpikeIsNeverLost) {
  add(every(1, 5000), 3333);
  const ThinnedCurve thin = curve(query(60));
  EXPECT_LE(thin.x.size(), 60u);
  EXPECT_THAT(thin.x, Contains(3333));
  EXPECT_THAT(thin.y, Contains(99));
  EXPECT_TRUE(std::is_sorted(thin.x.begin(), thin.x.end()));
}

TEST_F(CurvesOfAPlot, AxesAreStepsSamplesAndFlops) {
  add({1, 2});
  CurveQuery by = query(10);
  by.axis = CurveAxis::kSamples;
  EXPECT_THAT(curve(by).x, ElementsAre(10, 20));
  by.axis = CurveAxis::kFlops;
  EXPECT_THAT(curve(by).x, ElementsAre(1e6, 2e6));
}

TEST_F(CurvesOfAPlot, AViewHasOnePointBeyondEachEdge) {
  add(every(10, 1000));
  CurveQuery view = query(100);
  view.axis = CurveAxis::kSamples;
  view.from = 2050;
  view.to = 2250;
  EXPECT_THAT(curve(view).x, ElementsAre(2000, 2100, 2200, 2300));
  view.from = 1e9;
  view.to = 2e9;
  EXPECT_THAT(curve(view).x, ElementsAre(10000)) << "beyond the end only the end is left";
}

TEST_F(CurvesOfAPlot, OnALogarithmicAxisTheBeginningGetsItsShare) {
  add(every(1, 5000));
  CurveQuery log = query(60);
  log.log_axis = true;
  const ThinnedCurve thin = curve(log);
  const auto early = std::count_if(thin.x.begin(), thin.x.end(), [](double x) { return x < 70; });
  EXPECT_THAT(early, Gt(15)) << "half of the axis";
}

TEST_F(CurvesOfAPlot, TooManyPointsToLookAtAreTakenAtEqualDistances) {
  std::vector<int64_t> steps = every(1000, 3'000'000);
  steps.insert(steps.begin(), {1, 2});
  add(steps);
  const ThinnedCurve thin = curve(query(50), false);
  EXPECT_THAT(thin.x.size(), testing::AllOf(Ge(40u), Le(52u)));
  EXPECT_EQ(thin.x.front(), 1);
  EXPECT_EQ(thin.x.back(), 3'000'000);
  double widest = 0;
  for (size_t i = 1; i < thin.x.size(); ++i) widest = std::max(widest, thin.x[i] - thin.x[i - 1]);
  EXPECT_THAT(widest, Lt(2.1 * 3'000'000 / 50));
}

TEST_F(CurvesOfAPlot, OnlyTheRunsThatAreNamed) {
  add({1, 2});
  CurveQuery other = query(10);
  other.run_ids = {2};
  EXPECT_TRUE(store->thinned_curves(other)->curves.empty());
  other.run_ids = {1};
  EXPECT_EQ(store->thinned_curves(other)->curves.size(), 1);
  other.sweep_id = 9;
  EXPECT_EQ(store->thinned_curves(other).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CurvesOfAPlot, EnergyIsTheSumOfWhatRunsMeasured) {
  ingest(1, 0, 1, {metrics(1, 50, "energy_joules"), metrics(2, 120, "energy_joules")});
  const auto usage = store->usage();
  ASSERT_TRUE(usage.ok()) << usage.status();
  ASSERT_EQ(usage->size(), 1);
  EXPECT_EQ((*usage)[0].energy_joules, 120) << "the metric counts up";
}

}  // namespace
}  // namespace scalelaw::server
