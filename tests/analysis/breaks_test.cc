#include "analysis/breaks.h"

#include <gtest/gtest.h>

#include "tests/analysis/fixtures.h"
#include "tests/analysis/truths.h"

namespace scalelaw::analysis {
namespace {

Sample sample_of(const std::vector<Observation>& observations) {
  const auto rows = static_cast<Eigen::Index>(observations.size());
  Sample sample{Eigen::MatrixXd(rows, 1), Eigen::VectorXd(rows), Eigen::VectorXd::Ones(rows)};
  for (Eigen::Index i = 0; i < rows; ++i) {
    sample.logx(i, 0) = std::log(observations[static_cast<size_t>(i)].flops / 1e13);
    sample.y[i] = observations[static_cast<size_t>(i)].value;
  }
  return sample;
}

TEST(Breaks, AsManyAsExtrapolateBestAndNoMore) {
  const auto two = choose_breaks(sample_of(truth("broken-power-2", 1e-4).observations), {});
  ASSERT_TRUE(two.ok()) << two.status();
  ASSERT_EQ(two->held_out_rmse.size(), 3u);
  EXPECT_LT(two->held_out_rmse[1], two->held_out_rmse[0] / 3);
  EXPECT_NE(two->form, "broken-power");
  const auto one = choose_breaks(sample_of(truth("broken-power").observations), {});
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_LT(one->held_out_rmse[0], 1e-4);
}

TEST(Breaks, FewRowsCarryFewBreaks) {
  auto observations = truth("broken-power", 1e-4).observations;
  observations.resize(14);
  const auto chosen = choose_breaks(sample_of(observations), {});
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ(chosen->held_out_rmse.size(), 2u);
  observations.resize(9);
  EXPECT_EQ(choose_breaks(sample_of(observations), {}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(BrokenPowerAuto, IsTheChosenFormFittedToAllPoints) {
  FitOptions options = truth("broken-power-2").options;
  options.form = "broken-power-auto";
  const auto observations = truth("broken-power-2", 1e-4).observations;
  const auto law = fit(observations, options);
  ASSERT_TRUE(law.ok()) << law.status();
  EXPECT_EQ(law->form, choose_breaks(sample_of(observations), {})->form);
  EXPECT_EQ(law->points.size(), observations.size());
  EXPECT_NE(law->warnings.back().find("chosen by the error beyond"), std::string::npos);
}

}  // namespace
}  // namespace scalelaw::analysis
