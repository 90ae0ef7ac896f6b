// The sweeps in examples/ are what a newcomer runs first.
#include <filesystem>

#include <gtest/gtest.h>

#include "cli/sweep_file.h"

namespace scalelaw::cli {
namespace {

SweepFile example(const std::string& name) {
  absl::StatusOr<SweepFile> file = read_sweep_file(SCALELAW_SOURCE_DIR "/examples/" + name);
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? *file : SweepFile{};
}

TEST(Examples, TheTargetsStagesAreTheFirstLawsSoThatNothingIsTrainedTwice) {
  SweepFile law = example("first-law.yaml");
  SweepFile target = example("first-law-target.yaml");
  for (int stage : {0, 1})
    EXPECT_EQ(law.spec.stages(stage).SerializeAsString(), target.spec.stages(stage).SerializeAsString());
}

TEST(Examples, TheTargetIsHeldOutAtFourTimesTheLargestBudget) {
  SweepFile law = example("first-law.yaml");
  SweepFile target = example("first-law-target.yaml");
  for (int i = 2; i < target.spec.stages_size(); ++i) {
    const v1::StageSpec& held_out = target.spec.stages(i);
    EXPECT_TRUE(held_out.holdout());
    double largest = 0;
    for (const v1::StageSpec& stage : law.spec.stages())
      if (stage.study() == held_out.study())
        for (double flops : stage.budget().flops()) largest = std::max(largest, flops);
    EXPECT_GE(held_out.budget().flops(0), 4 * largest) << held_out.name();
  }
}

TEST(Examples, OwnScriptNamesAScriptThatIsThere) {
  SweepFile file = example("own-script.yaml");
  EXPECT_TRUE(std::filesystem::exists(file.spec.stages(0).command(1))) << file.spec.stages(0).command(1);
}

}  // namespace
}  // namespace scalelaw::cli
