#include "trainer/data/scenes.h"

#include <filesystem>
#include <set>

#include <gtest/gtest.h>
#include <unistd.h>

#include "trainer/data/fashion_mnist.h"
#include "trainer/text.h"

namespace scalelaw::trainer {
namespace {

namespace fs = std::filesystem;

// A directory with only the files of one split, to prove where scenes come from.
class OneSplit {
 public:
  explicit OneSplit(const std::string& prefix)
      : path_(fs::temp_directory_path() / ("scalelaw-scenes-" + prefix + std::to_string(::getpid()))) {
    fs::create_directories(path_);
    for (const auto& file : fs::directory_iterator(Scenes::kDirectory)) {
      std::string name = file.path().filename();
      if (name.starts_with(prefix)) fs::create_symlink(file.path(), path_ / name);
    }
  }
  ~OneSplit() { fs::remove_all(path_); }
  std::string path() const { return path_; }

 private:
  fs::path path_;
};

bool same(const Batch& a, const Batch& b) {
  return torch::equal(a.images, b.images) && torch::equal(a.tokens, b.tokens) && torch::equal(a.answers, b.answers);
}

TEST(Scenes, AreTheSameEveryTimeAndDoNotDependOnThePoolSize) {
  Scenes few = Scenes::train({}, 100), many = Scenes::train({}, 5000);
  EXPECT_TRUE(same(few.range(0, 100), many.range(0, 100)));
  EXPECT_FALSE(torch::equal(few.range(0, 50).images, few.range(50, 50).images));
}

TEST(Scenes, HeldOutOnesNeedNoTrainingPhotographsAndTheOtherWayRound) {
  OneSplit test("t10k"), train("train");
  EXPECT_TRUE(same(Scenes::held_out({}, 200, test.path()).range(0, 200), Scenes::held_out({}, 200).range(0, 200)));
  EXPECT_TRUE(same(Scenes::train({}, 200, train.path()).range(0, 200), Scenes::train({}, 200).range(0, 200)));
  EXPECT_THROW(Scenes::held_out({}, 10, train.path()), BadRun);
  EXPECT_THROW(Scenes::train({}, 10, test.path()), BadRun);
}

TEST(Scenes, ShowEveryPhotographOnceBeforeAnyTwice) {
  Scenes scenes = Scenes::held_out({}, 10000);
  std::set<int64_t> seen;
  for (int64_t i = 0; i < scenes.size(); ++i) seen.insert(scenes.photograph(i));
  EXPECT_EQ(seen.size(), 10000U);
}

TEST(Scenes, AnswersAndCaptionAgreeWithTheLabelOfThePhotograph) {
  Photographs photographs = read_photographs(Scenes::kDirectory, "t10k");
  Scenes scenes = Scenes::held_out({}, 300);
  Batch batch = scenes.range(0, 300);
  for (int64_t i = 0; i < 300; ++i) {
    const int64_t* answers = batch.answers[i].data_ptr<int64_t>();
    EXPECT_EQ(answers[kObject], photographs.labels[static_cast<size_t>(scenes.photograph(i))]);
    std::string expected = "a " + kColourNames[static_cast<size_t>(answers[kColour])] + " " +
                           kObjectNames[static_cast<size_t>(answers[kObject])] + " on a " +
                           kBackgroundNames[static_cast<size_t>(answers[kBackground])] + " background";
    EXPECT_EQ(scenes.caption(i), expected);
    EXPECT_EQ(decode_caption(batch.tokens[i]), expected);
  }
}

TEST(Scenes, CornersShowTheGround) {
  Batch batch = Scenes::held_out({}, 500).range(0, 500);
  torch::Tensor corner = batch.images.select(3, 0).select(2, 0).mean(1);
  torch::Tensor light = batch.answers.select(1, kBackground) == 1;
  EXPECT_GT(corner.masked_select(light).mean().item<double>(), 0.5);
  EXPECT_LT(corner.masked_select(light.logical_not()).mean().item<double>(), -0.5);
}

TEST(Scenes, CaptionDensityIsHowOftenAnAttributeIsNamed) {
  SceneParams sparse;
  sparse.caption_density = 0.3;
  Batch batch = Scenes::train(sparse, 4000).range(0, 4000);
  torch::Tensor named = batch.named.to(torch::kDouble).mean(0);
  EXPECT_EQ(named[kObject].item<double>(), 1);
  EXPECT_NEAR(named[kColour].item<double>(), 0.3, 0.03);
  EXPECT_NEAR(named[kBackground].item<double>(), 0.3, 0.03);
  EXPECT_TRUE(Scenes::held_out(sparse, 100).range(0, 100).named.all().item<bool>());
}

TEST(Scenes, MissingFilesNameThePackage) {
  try {
    Scenes::train({}, 10, "/nowhere");
    FAIL();
  } catch (const BadRun& error) {
    EXPECT_NE(std::string(error.what()).find("dataset-fashion-mnist"), std::string::npos) << error.what();
  }
}

TEST(Captions, UnknownWordsAndLongOnesAreErrors) {
  EXPECT_THROW(encode_caption("a mauve sneaker"), std::invalid_argument);
  EXPECT_THROW(encode_caption("a a a a a a a a a"), std::invalid_argument);
}

TEST(Captions, DroppingReplacesWholeCaptionsAtTheGivenRate) {
  torch::manual_seed(1);
  torch::Tensor tokens = torch::ones({4000, kCaptionLength}, torch::kLong);
  torch::Tensor dropped = drop_captions(tokens, 0.25).sum(1);
  EXPECT_TRUE(((dropped == 0) | (dropped == kCaptionLength)).all().item<bool>());
  EXPECT_NEAR((dropped == 0).to(torch::kDouble).mean().item<double>(), 0.25, 0.03);
}

}  // namespace
}  // namespace scalelaw::trainer
