#include "cli/plots/figure_set.h"
#include "cli/plots/figures.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

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
double true_score(double loss) {
  return 0.37 + 0.59 / (1 + std::exp(12 * (loss - 0.42)));
}

FigureData study(bool score) {
  FigureData data;
  data.study = "diffusion";
  data.metric = score ? "alignment" : "val_loss";
  if (score) data.chance = 0.37;
  if (score) data.ceiling = 0.96;
  auto add = [&](double params, double flops, std::vector<analysis::Observation>& to) {
    analysis::Observation& run = to.emplace_back();
    run.run = std::to_string(data.runs.size());
    run.params = params;
    run.samples = flops / params;
    run.flops = flops * 0.998;
    run.budget_flops = flops;
    const double loss = true_loss(params, flops) * (1 + 0.004 * std::sin(7.0 * static_cast<double>(data.runs.size())));
    run.value = score ? true_score(loss) : loss;
  };
  for (double params : {46e3, 92e3, 183e3, 366e3, 732e3})
    for (double flops : {1e11, 2e11, 4e11, 8e11, 1.6e12, 3.2e12}) add(params, flops, data.runs);
  add(732e3, 1.28e13, data.held_out);
  analysis::FitOptions options;
  options.metric = data.metric;
  options.chance = data.chance;
  options.ceiling = data.ceiling;
  options.bootstrap = 200;
  data.curve = *analysis::fit(data.runs, options);
  if (score) return data;
  options.form = "chinchilla";
  data.surface = *analysis::fit(data.runs, options);
  return data;
}

// The runs of Hoffmann et al. 2022, figure 4, as read off by Besiroglu et al. 2024.
FigureData chinchilla() {
  FigureData data;
  data.study = "chinchilla";
  data.metric = "loss";
  std::ifstream file(std::string(SCALELAW_SOURCE_DIR) + "/tests/analysis/data/chinchilla.csv");
  std::string line;
  std::getline(file, line);
  for (char comma; std::getline(file, line);) {
    std::istringstream fields(line);
    analysis::Observation& run = data.runs.emplace_back();
    fields >> run.flops >> comma >> run.params >> comma >> run.samples >> comma >> run.value;
    run.run = std::to_string(data.runs.size());
  }
  analysis::FitOptions options;
  options.metric = data.metric;
  options.bootstrap = 200;
  options.form = "chinchilla";
  data.surface = *analysis::fit(data.runs, options);
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

TEST(Plots, IsoFlopsTakeBudgetsOfThreeSizesAndMoreAndNoHeldOutRuns) {
  FigureData data = study(false);
  EXPECT_TRUE(has_isoflops(data));
  std::erase_if(data.runs, [](const analysis::Observation& run) { return run.params > 100e3; });
  EXPECT_FALSE(has_isoflops(data));
}

TEST(Plots, AreDrawnAsSvgAndPng) {
  FigureData loss = study(false), score = study(true);
  std::vector<Figure> figures = make_figures(loss, {}).figures;
  for (Figure& figure : make_figures(score, {}).figures) figures.push_back(figure);
  auto files = draw(figures, folder());
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(make_figures(loss, {}).missing, testing::IsEmpty());
  EXPECT_EQ(files->size(), 26u) << "loss: 8 figures, two laws; score: 5, one law";
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
  data.curve.reset();
  auto files = draw({compute_figure(data)}, folder() + "/no-law");
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(content(folder() + "/no-law/val_loss-vs-compute.svg"), testing::Not(HasSubstr("fitted law")));
}

TEST(Plots, ManyRunsOfManySizesAreColouredAlongAScale) {
  const FigureData data = chinchilla();
  auto files = draw(make_figures(data, {}).figures, folder() + "/chinchilla");
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(content(folder() + "/chinchilla/loss-vs-compute.svg"), HasSubstr("Parameters"));
}

TEST(Plots, AFigureThatIsAskedForAndCannotBeSaysWhy) {
  FigureData data = study(false);
  for (analysis::Observation& run : data.runs) run.params = 46e3;
  const FigureSet set = make_figures(data, {"isoflop"});
  EXPECT_TRUE(set.figures.empty());
  ASSERT_EQ(set.missing.size(), 1u);
  EXPECT_THAT(set.missing[0], HasSubstr("isoflop of val_loss: no budget has runs of 3 sizes"));
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
