// Presets, and models described by their shape alone.
#include <set>

#include <gtest/gtest.h>

#include "trainer/family.h"
#include "trainer/loop/train.h"

namespace scalelaw::trainer {
namespace {

RunSpec spec_of(nlohmann::json params) {
  return parse_spec({{"params", std::move(params)}, {"budget", {{"flops", 1e15}}}});
}

TEST(Presets, EachIsDescribedWithoutBuildingIt) {
  std::set<std::string> names;
  for (const FamilyEntry& entry : families()) {
    for (const Preset& preset : entry.presets) {
      EXPECT_TRUE(names.insert(preset.name).second) << preset.name << " is two presets";
      EXPECT_EQ(&family_of_preset(preset.name), &entry);
      const ModelFacts facts = describe(entry, spec_of({{"preset", preset.name}}));
      EXPECT_GT(facts.params, 0) << preset.name;
      EXPECT_GE(facts.params_total, facts.params) << preset.name;
      EXPECT_DOUBLE_EQ(facts.flops_per_sample, 6 * facts.cost->macs()) << preset.name;
      EXPECT_GE(facts.steps, 1) << preset.name;
    }
  }
  EXPECT_GT(names.size(), 30U);
}

TEST(Presets, ARunMayStillSetEachParameter) {
  const FamilyEntry& entry = family_named("diffusion-unet");
  const ModelFacts plain = describe(entry, spec_of({{"preset", "unet-c32-td0-1"}}));
  const ModelFacts wider = describe(entry, spec_of({{"preset", "unet-c32-td0-1"}, {"channels", 64}}));
  EXPECT_EQ(wider.resolved["channels"], 64);
  EXPECT_GT(wider.params, 3 * plain.params);
}

TEST(Presets, AnUnknownNameIsRefusedWithTheKnownOnes) {
  try {
    describe(family_named("diffusion-unet"), spec_of({{"preset", "sdxxl"}}));
    FAIL();
  } catch (const BadRun& error) {
    EXPECT_NE(std::string(error.what()).find("sdxl-td4-4"), std::string::npos) << error.what();
  }
  EXPECT_THROW(describe(family_named("scorer"), spec_of({{"preset", "sdxl"}})), BadRun);
  EXPECT_THROW(family_of_preset("sdxxl"), BadRun);
}

}  // namespace
}  // namespace scalelaw::trainer
