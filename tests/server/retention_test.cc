#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/store_fixture.h"

namespace scalelaw::server {
namespace {

using testing::ElementsAre;

class Retention : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    with_a_running_attempt();
    std::vector<v1::Record> records;
    for (int64_t step = 1; step <= 100; ++step) records.push_back(metrics(step, 1.0 / static_cast<double>(step)));
    for (int64_t step = 1; step <= 3; ++step) records.push_back(metrics(step, 0.5, "rare"));
    ingest(1, 0, 1, records);
  }
  void end_run() {
    Decisions decisions;
    decisions.attempts.push_back({AttemptId{1}, AttemptState::kSucceeded, 0, ""});
    decisions.runs.push_back({RunId{1}, RunState::kSucceeded, "", 0, {SweepId{1}, 0}});
    ASSERT_TRUE(apply(decisions).ok());
  }
  int thin(int points, int64_t before_ms = INT64_MAX) {
    std::promise<int> runs;
    store->thin_curves(before_ms, points, [&runs](int count) { runs.set_value(count); });
    return runs.get_future().get();
  }
};

TEST_F(Retention, OldCurvesKeepTheirEndsAndEvenlySpacedPointsBetween) {
  end_run();
  EXPECT_EQ(thin(4), 1);
  EXPECT_THAT(steps(), ElementsAre(1, 34, 67, 100));
  EXPECT_THAT(steps("rare"), ElementsAre(1, 2, 3)) << "short ones are left alone";
  EXPECT_EQ(thin(4), 0) << "once is enough";
}

TEST_F(Retention, ObservationsStayWhatTheyWere) {
  const std::string observation = "SELECT value || ' ' || samples FROM v_observations WHERE metric = 'loss'";
  end_run();
  const std::vector<std::string> before = sql(observation);
  thin(2);
  EXPECT_EQ(sql(observation), before);
  EXPECT_EQ(sql("SELECT count(*) FROM v_curves WHERE metric = 'loss'"), std::vector<std::string>{"2"});
}

TEST_F(Retention, RunsThatGoOnOrHaveJustEndedAreLeftAlone) {
  EXPECT_EQ(thin(2), 0);
  end_run();
  EXPECT_EQ(thin(2, /*before_ms=*/1000), 0);
  EXPECT_EQ(steps().size(), 100u);
}

}  // namespace
}  // namespace scalelaw::server
