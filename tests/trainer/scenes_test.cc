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
    EXPECT_EQ(Vocabulary::of_scenes(1).decode(batch.tokens[i]), expected);
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

SceneParams two_objects() {
  SceneParams params;
  params.objects = 2;
  params.resolution = 32;
  return params;
}

TEST(TwoObjectScenes, SayWhichIsWhereAndShowIt) {
  Scenes scenes = Scenes::held_out(two_objects(), 400);
  Batch batch = scenes.range(0, 400);
  std::set<int64_t> relations;
  for (int64_t i = 0; i < 400; ++i) {
    const int64_t* answers = batch.answers[i].data_ptr<int64_t>();
    auto described = [&](int64_t object, int64_t colour) {
      return "a " + kColourNames[static_cast<size_t>(answers[colour])] + " " +
             kObjectNames[static_cast<size_t>(answers[object])];
    };
    const std::string expected = described(kObject, kColour) + " " +
                                 kRelationNames[static_cast<size_t>(answers[kRelation])] + " " +
                                 described(kSecondObject, kSecondColour) + " on a " +
                                 kBackgroundNames[static_cast<size_t>(answers[kBackground])] + " background";
    EXPECT_EQ(scenes.caption(i), expected);
    EXPECT_EQ(Vocabulary::of_scenes(2).decode(batch.tokens[i]), expected);
    relations.insert(answers[kRelation]);
  }
  EXPECT_EQ(relations.size(), 4U);
}

TEST(TwoObjectScenes, EachObjectHasItsColourInItsHalf) {
  Batch batch = Scenes::held_out(two_objects(), 2000).range(0, 2000);
  int64_t seen = 0;
  for (int64_t i = 0; i < 2000; ++i) {
    const int64_t* answers = batch.answers[i].data_ptr<int64_t>();
    // A red object left of a blue one, on the dark ground.
    if (answers[kColour] != 0 || answers[kSecondColour] != 2 || answers[kRelation] > 1 || answers[kBackground] != 0) {
      continue;
    }
    ++seen;
    torch::Tensor red = batch.images[i][0] - batch.images[i][2];
    torch::Tensor left = red.slice(1, 0, 16).sum(), right = red.slice(1, 16, 32).sum();
    EXPECT_EQ((left > right).item<bool>(), answers[kRelation] == 0) << i;
  }
  EXPECT_GT(seen, 2);
}

TEST(TwoObjectScenes, DensityOnlyNeverLeavesOutTheObjects) {
  SceneParams sparse = two_objects();
  sparse.caption_density = 0;
  Scenes scenes = Scenes::train(sparse, 50);
  Batch batch = scenes.range(0, 50);
  EXPECT_TRUE(torch::equal(batch.named.sum(0), torch::tensor({50, 0, 0, 50, 0, 0}, torch::kLong)));
  EXPECT_NE(scenes.caption(0).find(" and a "), std::string::npos) << scenes.caption(0);
}

TEST(Scenes, DiversityLimitsWhatTrainingShowsAndNotWhatIsHeldOut) {
  SceneParams narrow;
  narrow.classes = 3;
  narrow.colours = 2;
  Batch train = Scenes::train(narrow, 3000).range(0, 3000), held_out = Scenes::held_out(narrow, 3000).range(0, 3000);
  EXPECT_EQ(train.answers.select(1, kObject).max().item<int64_t>(), 2);
  EXPECT_EQ(train.answers.select(1, kColour).max().item<int64_t>(), 1);
  EXPECT_EQ(held_out.answers.select(1, kObject).max().item<int64_t>(), 9);
  EXPECT_EQ(held_out.answers.select(1, kColour).max().item<int64_t>(), 5);
}

TEST(Captions, UnknownWordsAndLongOnesAreErrors) {
  const Vocabulary& words = Vocabulary::of_scenes(1);
  EXPECT_THROW(words.encode("a mauve sneaker", kCaptionLength), std::invalid_argument);
  EXPECT_THROW(words.encode("a a a a a a a a a", kCaptionLength), std::invalid_argument);
}

TEST(Captions, FreeOnesKeepTheirMostFrequentWords) {
  Vocabulary words = Vocabulary::of_captions({"A dog, a cat.", "a dog runs", "Ein Hörnchen runs"}, 6);
  EXPECT_EQ(words.words(), (std::vector<std::string>{"", "<unknown>", "a", "dog", "runs", "cat"}));
  EXPECT_EQ(words.encode("A DOG sleeps", 4), (std::vector<int64_t>{2, 3, 1, 0}));
  EXPECT_EQ(words.encode("a a a a a a", 4), (std::vector<int64_t>{2, 2, 2, 2}));
}

TEST(Captions, TheFreeEncoderSeesOrderAndNotPadding) {
  torch::manual_seed(3);
  TextEncoder encoder(16, CaptionShape{.length = 6, .words = 9, .free = true});
  torch::Tensor tokens = torch::tensor({{2, 3, 4, 0, 0, 0}, {4, 3, 2, 0, 0, 0}, {0, 0, 0, 0, 0, 0}}, torch::kLong);
  torch::Tensor seen = encoder(tokens);
  EXPECT_EQ(seen.sizes(), (std::vector<int64_t>{3, 16}));
  EXPECT_TRUE(seen.isfinite().all().item<bool>());
  EXPECT_FALSE(torch::allclose(seen[0], seen[1], 1e-3, 1e-4));
  // The same words with less padding are the same caption.
  TextEncoder shorter(16, CaptionShape{.length = 3, .words = 9, .free = true});
  torch::NoGradGuard no_grad;
  for (const auto& parameter : shorter->named_parameters()) {
    torch::Tensor from = encoder->named_parameters()[parameter.key()];
    parameter.value().copy_(parameter.key() == "places" ? from.narrow(0, 0, 3) : from);
  }
  EXPECT_TRUE(torch::allclose(shorter(tokens.narrow(1, 0, 3))[0], seen[0], 1e-4, 1e-5));
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
