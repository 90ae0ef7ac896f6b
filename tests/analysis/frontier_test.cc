#include "analysis/frontier.h"

#include <gtest/gtest.h>

#include "tests/analysis/fixtures.h"

namespace scalelaw::analysis {
namespace {

TEST(Frontier, AveragesSeedsBeforeItComparesSizes) {
  StudyBuilder study;
  // The small size has the best single run, the large one the better mean.
  study.add(1e10, 1e4, 0.8, 1).add(1e10, 1e4, 1.4, 2).add(1e10, 1e5, 1.0, 1).add(1e10, 1e5, 1.0, 2);
  const auto loss = frontier(study.observations(), Better::kLower);
  ASSERT_EQ(loss.size(), 1u);
  EXPECT_NEAR(loss[0].params, 1e5, 1e-6);
  EXPECT_EQ(loss[0].value, 1.0);
  const auto score = frontier(study.observations(), Better::kHigher);
  EXPECT_NEAR(score[0].params, 1e4, 1e-6);
}

TEST(Frontier, BudgetsThatDifferByRoundingAreOne) {
  StudyBuilder study;
  study.add(1.000e10, 1e4, 1.0).add(1.012e10, 1e5, 0.9).add(3e10, 1e4, 0.8);
  EXPECT_EQ(frontier(study.observations(), Better::kLower).size(), 2u);
}

TEST(IsoFlop, FindsTheMinimumOfAParabolaInLogParams) {
  StudyBuilder study;
  for (double params : {1e4, 1e5, 1e6, 1e7}) study.add(1e12, params, 0.5 + 0.02 * std::pow(std::log(params / 3e5), 2));
  const auto minima = isoflop_minima(study.observations(), Better::kLower);
  ASSERT_EQ(minima.size(), 1u);
  EXPECT_TRUE(minima[0].bracketed);
  EXPECT_NEAR(minima[0].best_params, 3e5, 1e-3);
  EXPECT_NEAR(minima[0].best_value, 0.5, 1e-12);
  const double u = std::log(2e6);
  EXPECT_NEAR(minima[0].c0 + minima[0].c1 * u + minima[0].c2 * u * u, 0.5 + 0.02 * std::pow(std::log(2e6 / 3e5), 2),
              1e-9);
}

TEST(IsoFlop, SaysWhereTheMinimumIsNotBracketed) {
  StudyBuilder study;
  for (double params : {1e4, 1e5, 1e6}) study.add(1e12, params, 0.5 + 0.02 * std::pow(std::log(params / 1e8), 2));
  study.add(1e13, 1e4, 1).add(1e13, 1e5, 0.9);
  const auto minima = isoflop_minima(study.observations(), Better::kLower);
  ASSERT_EQ(minima.size(), 2u);
  EXPECT_FALSE(minima[0].bracketed);
  EXPECT_NE(minima[0].reason.find("outside"), std::string::npos);
  EXPECT_NEAR(minima[0].best_params, 1e6, 1e-6);
  EXPECT_FALSE(minima[1].bracketed);
  EXPECT_NE(minima[1].reason.find("fewer than three"), std::string::npos);
}

}  // namespace
}  // namespace scalelaw::analysis
