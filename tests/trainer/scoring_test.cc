// The parts of a score: questions of two-object scenes, distances between sets of images, the user's own command.
#include "trainer/scoring/scoring.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "trainer/scoring/distribution.h"
#include "trainer/scoring/external_scorer.h"
#include "trainer/scoring/questions.h"

namespace scalelaw::trainer {
namespace {

using torch::Tensor;

Tensor row(std::vector<int64_t> answers) {
  return torch::tensor(answers, torch::kLong).unsqueeze(0);
}

// Object, colour, background, second object, second colour, relation (0 left of, 1 right of, 2 above, 3 below).
TEST(Questions, ByPlaceThenAsAskedIsTheSameAgain) {
  SceneParams params;
  params.objects = 2;
  params.resolution = 16;
  Tensor answers = Scenes::held_out(params, 2000).range(0, 2000).answers;
  // Two equal things look the same whichever is named first; a relation cannot be told from the image.
  Tensor equal = (answers.select(1, kObject) == answers.select(1, kSecondObject)) &
                 (answers.select(1, kColour) == answers.select(1, kSecondColour));
  Tensor back = as_asked(by_place(answers), answers);
  EXPECT_TRUE(torch::equal(back, answers));
  EXPECT_GT(equal.sum().item<int64_t>(), 0);
}

TEST(Questions, ByPlacePutsTheLeftAndTheUpperObjectFirst) {
  EXPECT_TRUE(torch::equal(by_place(row({1, 2, 0, 3, 4, 0})), row({1, 2, 0, 3, 4, 0})));
  EXPECT_TRUE(torch::equal(by_place(row({1, 2, 0, 3, 4, 1})), row({3, 4, 0, 1, 2, 0})));
  EXPECT_TRUE(torch::equal(by_place(row({1, 2, 0, 3, 4, 2})), row({1, 2, 0, 3, 4, 1})));
  EXPECT_TRUE(torch::equal(by_place(row({1, 2, 0, 3, 4, 3})), row({3, 4, 0, 1, 2, 1})));
}

TEST(Questions, ThingsInTheWrongPlaceCostTheRelationOnly) {
  const Tensor asked = row({1, 2, 0, 3, 4, 0});
  Tensor right = as_asked(row({3, 4, 0, 1, 2, 0}), asked) == asked;
  EXPECT_TRUE(torch::equal(right, torch::tensor({{true, true, true, true, true, false}})));
}

TEST(Questions, AWrongColourCostsThatColourOnly) {
  const Tensor asked = row({1, 2, 0, 3, 4, 3});
  Tensor right = as_asked(row({3, 4, 0, 1, 5, 1}), asked) == asked;
  EXPECT_TRUE(torch::equal(right, torch::tensor({{true, false, true, true, true, true}})));
}

TEST(Distribution, FrechetDistanceOfNormalsIsTheFormulas) {
  torch::manual_seed(1);
  // Independent coordinates: the sum of (μ₁ − μ₂)² + (σ₁ − σ₂)².
  Tensor a = torch::randn({40000, 3}, torch::kDouble);
  Tensor b = torch::randn({40000, 3}, torch::kDouble) * torch::tensor({1.0, 2.0, 3.0}) + torch::tensor({0.0, 1.0, 2.0});
  EXPECT_NEAR(frechet_distance(a, b), 5 + 1 + 4, 0.2);
  EXPECT_NEAR(frechet_distance(a, a), 0, 1e-6);
}

TEST(Distribution, FrechetDistanceDoesNotDependOnTheAxes) {
  torch::manual_seed(2);
  Tensor a = torch::randn({500, 4}, torch::kDouble), b = 2 * torch::randn({500, 4}, torch::kDouble) + 1;
  Tensor turn = std::get<0>(torch::linalg_qr(torch::randn({4, 4}, torch::kDouble)));
  EXPECT_NEAR(frechet_distance(torch::mm(a, turn), torch::mm(b, turn)), frechet_distance(a, b), 1e-6);
}

TEST(Distribution, RecallIsTheShareOfTheRealThatIsCovered) {
  torch::manual_seed(3);
  Tensor one = torch::randn({400, 2}), other = torch::randn({400, 2}) + 100;
  EXPECT_GT(recall(one, torch::randn({400, 2})), 0.9);
  // Only one of two clusters is drawn.
  EXPECT_NEAR(recall(torch::cat({one, other}), torch::randn({400, 2})), 0.5, 0.05);
  EXPECT_EQ(recall(one, other), 0);
}

class ExternalScorer : public ::testing::Test {
 protected:
  ExternalScorer() {
    std::string pattern = (std::filesystem::temp_directory_path() / "scalelaw-scored-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ExternalScorer() override { std::filesystem::remove_all(folder_); }

  Values score(const std::string& script) {
    std::ofstream(folder_ / "score.sh") << script;
    return external_score({"sh", (folder_ / "score.sh").string()}, (folder_ / "images").string(),
                          torch::zeros({3, 3, 8, 8}), {"a dog", "a \"red\" cat", "ein Hörnchen"});
  }

  std::filesystem::path folder_;
};

TEST_F(ExternalScorer, GetsImagesWithCaptionsAndItsLastLineCounts) {
  Values values = score(
      "echo loading; cd $1; printf '{\"files\": %d, \"captions\": %d}\\n' $(ls *.png | wc -l) "
      "$(grep -c '\"caption\":' captions.jsonl); echo");
  EXPECT_EQ(values, (Values{{"external_files", 3}, {"external_captions", 3}}));
}

TEST_F(ExternalScorer, APlainNumberIsTheScore) {
  EXPECT_EQ(score("echo 0.25"), (Values{{"external_score", 0.25}}));
}

TEST_F(ExternalScorer, WhatItPrintsInsteadOfANumberIsQuoted) {
  try {
    score("echo high");
    FAIL();
  } catch (const BadRun& error) {
    EXPECT_NE(std::string(error.what()).find("not \"high\""), std::string::npos) << error.what();
  }
}

TEST_F(ExternalScorer, ItsFailureIsNoScore) {
  EXPECT_THROW(score("echo 1; exit 3"), std::runtime_error);
  EXPECT_THROW(external_score({"/nowhere/scorer"}, (folder_ / "images").string(), torch::zeros({1, 3, 8, 8}), {"a"}),
               BadRun);
}

}  // namespace
}  // namespace scalelaw::trainer
