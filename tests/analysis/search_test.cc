#include "analysis/search.h"

#include <gtest/gtest.h>

#include <limits>

#include "analysis/grid.h"
#include "analysis/resample.h"
#include "tests/analysis/fixtures.h"

namespace scalelaw::analysis {
namespace {

/// The best of polishing from every point of the grid: slow, and with nothing left out.
double exhaustive_minimum(const Form& form, const Sample& sample, const Criterion& criterion) {
  const std::vector<Coordinate> coordinates = form.coordinates(sample.logx);
  const Grid grid(coordinates);
  Eigen::MatrixXd phi;
  Eigen::VectorXd offset;
  double theta[kMaxParameters];
  double best = std::numeric_limits<double>::infinity();
  for (size_t point = 0; point < grid.size; ++point) {
    grid.theta(point, theta);
    form.basis(theta, sample.logx, phi, offset);
    const Eigen::VectorXd weight = sample.weight.cwiseQuotient(sample.y.cwiseAbs2());
    const SmallMatrix gram = phi.transpose() * weight.asDiagonal() * phi;
    const SmallVector moment = phi.transpose() * weight.cwiseProduct(sample.y - offset);
    SmallVector start(static_cast<Eigen::Index>(coordinates.size()));
    start << nonnegative_minimum(gram, moment),
        Eigen::Map<const Eigen::VectorXd>(theta, static_cast<Eigen::Index>(grid.axes.size()));
    best = std::min(best, polish(form, sample, criterion, start).objective);
  }
  return best;
}

/// Weights of a few rows each draw: drawn with replacement, a small share of the rows, of very different size, or of a
/// dozen rows only.
Eigen::MatrixXd hard_weights(Eigen::Index rows, int draws) {
  Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(rows, draws);
  const auto n = static_cast<std::uint64_t>(rows);
  for (int d = 0; d < draws; ++d) {
    Random random(5, static_cast<std::uint64_t>(d));
    const auto draw_rows = [&](std::uint64_t count) {
      for (std::uint64_t i = 0; i < count; ++i) weights(static_cast<Eigen::Index>(random.below(n)), d) += 1;
    };
    if (d % 4 == 0) draw_rows(n);
    if (d % 4 == 1) draw_rows(n / 10);
    if (d % 4 == 2)
      for (Eigen::Index i = 0; i < rows; ++i) weights(i, d) = std::exp(4 * random.normal());
    if (d % 4 == 3) draw_rows(12);
  }
  return weights;
}

/// Where Huber's kinks are all that bends the criterion, descents from different starts stop this close to each other.
constexpr double kKinks = 1e-4;

void expect_global(const Form& form, const Sample& sample, const Criterion& criterion, const Eigen::MatrixXd& weights) {
  const std::vector<Optimum> whole = minimise(form, sample, criterion);
  const std::vector<Optimum> fast = Resampler(form, sample, criterion, whole).minimise(weights);
  for (Eigen::Index d = 0; d < weights.cols(); ++d) {
    Sample drawn = sample;
    drawn.weight = weights.col(d);
    const double slow = exhaustive_minimum(form, drawn, criterion);
    EXPECT_LE(fast[static_cast<size_t>(d)].objective, slow * (1 + kKinks) + 1e-16) << "draw " << d;
    EXPECT_LE(minimise(form, drawn, criterion).front().objective, slow * (1 + kKinks) + 1e-16) << "draw " << d;
  }
}

Sample chinchilla_sample() {
  const auto runs = chinchilla_runs();
  const auto rows = static_cast<Eigen::Index>(runs.size());
  Sample sample{Eigen::MatrixXd(rows, 2), Eigen::VectorXd(rows), Eigen::VectorXd::Ones(rows)};
  for (Eigen::Index i = 0; i < rows; ++i) {
    const Observation& run = runs[static_cast<size_t>(i)];
    sample.logx.row(i) << std::log(run.params), std::log(run.samples);
    sample.y[i] = run.value;
  }
  sample.logx.rowwise() -= sample.logx.colwise().mean();
  return sample;
}

/// Two kinds of runs, one that falls slowly and one that falls fast to a higher floor: which law is best depends on
/// how many of each are drawn.
Sample two_regimes(double noise) {
  constexpr int kRows = 40;
  Random random(2, 2);
  Sample sample{Eigen::MatrixXd(kRows, 1), Eigen::VectorXd(kRows), Eigen::VectorXd::Ones(kRows)};
  for (int i = 0; i < kRows; ++i) {
    const double x = -3 + 6.0 * (i / 2) / (kRows / 2 - 1);
    sample.logx(i, 0) = x;
    const double curve = i % 2 ? 1 + std::exp(-0.08 * x) : 2.1 + 0.2 * std::exp(-1.8 * x);
    sample.y[i] = curve * std::exp(noise * random.normal());
  }
  return sample;
}

TEST(Search, ResamplesOfChinchillaReachTheirGlobalOptimum) {
  const auto form = make_form("chinchilla", {});
  const Sample sample = chinchilla_sample();
  const Eigen::MatrixXd weights = hard_weights(sample.y.size(), 8);
  expect_global(*form, sample, {Residual::kLog, Penalty::kHuber, 1e-3}, weights);
}

TEST(Search, ResamplesThatChangeBasinReachTheirGlobalOptimum) {
  const auto form = make_form("power-floor", {});
  for (const double noise : {0.001, 0.02}) {
    const Sample sample = two_regimes(noise);
    const Eigen::MatrixXd weights = hard_weights(sample.y.size(), 48);
    expect_global(*form, sample, {Residual::kLog, Penalty::kHuber, 1e-3}, weights);
    expect_global(*form, sample, {Residual::kLog, Penalty::kL2, 0}, weights);
    expect_global(*form, sample, {Residual::kRaw, Penalty::kHuber, 0.01}, weights);
  }
}

}  // namespace
}  // namespace scalelaw::analysis
