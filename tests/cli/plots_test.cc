#include "cli/plots/figures.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scalelaw::cli {
namespace {

using testing::HasSubstr;

// A study that obeys L(N, C) = 0.02 + 30·N^−0.4 + 450·(C/N)^−0.5 exactly, and a score in [0.37, 0.96] that follows the
// loss: five sizes, six budgets, the largest size held out at four times the largest budget.
double true_loss(double params, double flops) {
  return 0.02 + 30 * std::pow(params, -0.4) + 450 * std::pow(flops / params, -0.5);
}
double best_loss(double flops) {
  double best = 1e9;
  for (double params = 1e4; params < 1e8; params *= 1.02) best = std::min(best, true_loss(params, flops));
  return best;
}
double true_score(double loss) {
  return 0.37 + 0.59 / (1 + std::exp(12 * (loss - 0.42)));
}

FigureData study(bool score) {
  FigureData data;
  data.study = "diffusion";
  data.metric = score ? "alignment" : "val_loss";
  if (score) data.chance = 0.37;
  if (score) data.ceiling = 0.96;
  auto add = [&](double params, double flops, bool holdout) {
    v1::Observation& observation = data.observations.emplace_back();
    double loss = true_loss(params, flops);
    observation.set_params(params);
    observation.set_samples(flops / params);
    observation.set_flops(flops * 0.998);
    observation.set_budget_flops(flops);
    observation.set_value(score ? true_score(loss) : loss);
    observation.set_holdout(holdout);
  };
  for (double params : {46e3, 92e3, 183e3, 366e3, 732e3})
    for (double flops : {1e11, 2e11, 4e11, 8e11, 1.6e12, 3.2e12}) add(params, flops, false);
  add(732e3, 1.28e13, true);

  v1::Law& law = data.law.emplace();
  v1::Range& range = *law.add_ranges();
  range.set_column("flops");
  range.set_low(1e11);
  range.set_high(3.2e12);
  for (int i = 0; i <= 40; ++i) {
    double flops = 1e11 * std::pow(256, i / 40.0);
    double loss = best_loss(flops);
    double value = score ? true_score(loss) : loss;
    double spread = (score ? 0.008 : 0.012 * value) * (1 + std::max(0.0, std::log(flops / 3.2e12)));
    v1::Prediction& prediction = data.curve.emplace_back();
    (*prediction.mutable_at())["flops"] = flops;
    prediction.set_value(value);
    prediction.set_low50(value - spread);
    prediction.set_high50(value + spread);
    prediction.set_low95(value - 2.6 * spread);
    prediction.set_high95(value + 2.6 * spread);
  }
  return data;
}

std::string content(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Where the drawn files go: kept if PLOTS names a folder, to be looked at.
std::string folder() {
  const char* kept = std::getenv("PLOTS");
  return kept != nullptr ? kept : testing::TempDir() + "/scalelaw-plots";
}

TEST(IsoFlop, TheParabolasMinimumIsTheSurfacesWithinATenth) {
  FigureData data = study(false);
  std::vector<IsoFlop> all = isoflops(data);
  ASSERT_EQ(all.size(), 6u);
  for (const IsoFlop& iso : all) {
    ASSERT_EQ(iso.sizes.size(), 5u);
    double best = 1e4;
    for (double params = 1e4; params < 1e7; params *= 1.01)
      if (true_loss(params, iso.budget) < true_loss(best, iso.budget)) best = params;
    if (best < 60e3 || best > 600e3) continue;  // a minimum at the edge of the sizes is no minimum
    ASSERT_TRUE(iso.best.has_value());
    EXPECT_NEAR(std::log10(iso.best->params), std::log10(best), 0.1);
  }
}

TEST(IsoFlop, SeedsAreAveragedAndHeldOutRunsLeftOut) {
  FigureData data;
  for (double value : {1.0, 3.0}) {
    v1::Observation& observation = data.observations.emplace_back();
    observation.set_params(100);
    observation.set_samples(1e6);
    observation.set_flops(1.01e9);
    observation.set_value(value);
  }
  v1::Observation& held_out = data.observations.emplace_back(data.observations[0]);
  held_out.set_holdout(true);
  std::vector<IsoFlop> all = isoflops(data);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_NEAR(all[0].budget, 1.01e9, 1) << "without a budget: what was spent";
  ASSERT_EQ(all[0].sizes.size(), 1u);
  EXPECT_EQ(all[0].sizes[0].value, 2.0);
  EXPECT_FALSE(all[0].parabola.has_value()) << "one size is no curve";
}

TEST(IsoFlop, NoBestSizeWhereTheLargestIsBest) {
  FigureData data;
  for (double params : {100.0, 200.0, 400.0}) {
    v1::Observation& observation = data.observations.emplace_back();
    observation.set_params(params);
    observation.set_samples(1e6);
    observation.set_flops(1e9);
    observation.set_value(100 / params + 1e-5 * params);
  }
  std::vector<IsoFlop> all = isoflops(data);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_FALSE(all[0].best.has_value());
}

TEST(Frontier, IsTheBestPerBudgetAndNeverGetsWorse) {
  FigureData data = study(true);
  data.observations.push_back(data.observations[0]);
  data.observations.back().set_budget_flops(5e11);  // more compute, worse score
  data.observations.back().set_value(0.1);
  std::vector<FrontierPoint> line = frontier(data);
  ASSERT_EQ(line.size(), 6u);
  for (size_t i = 1; i < line.size(); ++i) EXPECT_GT(line[i].value, line[i - 1].value);
}

TEST(Plots, AreDrawnAsSvgAndPng) {
  FigureData loss = study(false), score = study(true);
  auto files =
      draw({compute_figure(loss), isoflop_figure(loss), compute_figure(score), isoflop_figure(score)}, folder());
  ASSERT_TRUE(files.ok()) << files.status();
  ASSERT_EQ(files->size(), 8u);
  for (const std::string& file : *files) {
    std::string bytes = content(file);
    if (file.ends_with(".png")) {
      EXPECT_EQ(bytes.substr(1, 3), "PNG") << file;
      EXPECT_GT(bytes.size(), 40'000u) << file;
    } else {
      EXPECT_THAT(bytes, HasSubstr("<svg")) << file;
      EXPECT_THAT(bytes, HasSubstr("</svg>")) << file;
    }
  }
  std::string svg = content(folder() + "/alignment-vs-compute.svg");
  EXPECT_THAT(svg, HasSubstr("Training compute (FLOPs)"));
  EXPECT_THAT(svg, HasSubstr("held-out run"));
  EXPECT_THAT(svg, HasSubstr("chance 0.37"));
  EXPECT_THAT(svg, HasSubstr("732k"));
}

TEST(Plots, AStudyWithoutALawHasItsRunsAlone) {
  FigureData data = study(false);
  data.law.reset();
  data.curve.clear();
  auto files = draw({compute_figure(data)}, folder() + "/no-law");
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(content(folder() + "/no-law/val_loss-vs-compute.svg"), testing::Not(HasSubstr("fitted law")));
}

TEST(Plots, NamesWithGnuplotsOrdersInThemAreText) {
  FigureData data = study(false);
  data.study = "it's_\"my\" {study}";
  auto files = draw({compute_figure(data)}, folder() + "/odd 'name'");
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(content(files->front()), HasSubstr("it's_"));
}

TEST(Plots, WithoutGnuplotTheErrorSaysWhatToInstall) {
  std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  auto files = draw({compute_figure(study(false))}, folder() + "/none");
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(files.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(files.status().message()), HasSubstr("apt-get install gnuplot-nox"));
}

}  // namespace
}  // namespace scalelaw::cli
