#include "cli/fit_progress.h"

#include <gtest/gtest.h>

namespace scalelaw::cli {
namespace {

TEST(FitProgress, SaysHowManyDrawsAreDoneAndWhatTheRestWillTake) {
  EXPECT_EQ(fit_progress_line(0, 4000, 1), "bootstrap  0 of 4000");
  EXPECT_EQ(fit_progress_line(1000, 4000, 12), "bootstrap  1000 of 4000, 36 s left");
  EXPECT_EQ(fit_progress_line(4000, 4000, 8), "bootstrap  4000 of 4000");
}

}  // namespace
}  // namespace scalelaw::cli
