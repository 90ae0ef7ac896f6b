#include "cli/plots/figure_data.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "analysis/frontier.h"
#include "proto/law_messages.h"

namespace scalelaw::cli {
namespace {

analysis::Better direction(bool is_score) {
  return is_score ? analysis::Better::kHigher : analysis::Better::kLower;
}

// What a fit would see: the runs that are not held out.
std::vector<analysis::Observation> fitted(const FigureData& data) {
  std::vector<analysis::Observation> all;
  for (const v1::Observation& from : data.observations) {
    if (from.holdout() || from.flops() <= 0 || from.params() <= 0) continue;
    all.push_back(to_analysis(from));
  }
  return all;
}

// Least squares by the normal equations of 1, t, t²; t is centred by the caller, which keeps them well conditioned.
std::optional<std::array<double, 3>> fit_parabola(const std::vector<std::pair<double, double>>& points) {
  std::array<std::array<double, 4>, 3> m{};
  for (auto [t, y] : points) {
    std::array<double, 3> basis = {1, t, t * t};
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) m[i][j] += basis[i] * basis[j];
      m[i][3] += basis[i] * y;
    }
  }
  for (int column = 0; column < 3; ++column) {
    int pivot = column;
    for (int row = column + 1; row < 3; ++row)
      if (std::fabs(m[row][column]) > std::fabs(m[pivot][column])) pivot = row;
    std::swap(m[column], m[pivot]);
    if (std::fabs(m[column][column]) < 1e-12) return std::nullopt;
    for (int row = 0; row < 3; ++row) {
      if (row == column) continue;
      double factor = m[row][column] / m[column][column];
      for (int k = column; k < 4; ++k) m[row][k] -= factor * m[column][k];
    }
  }
  return std::array{m[0][3] / m[0][0], m[1][3] / m[1][1], m[2][3] / m[2][2]};
}

bool better(bool is_score, double a, double b) {
  return is_score ? a > b : a < b;
}

const IsoFlop::Size& best_size(const IsoFlop& iso, bool is_score) {
  return *std::min_element(iso.sizes.begin(), iso.sizes.end(), [&](const IsoFlop::Size& a, const IsoFlop::Size& b) {
    return better(is_score, a.value, b.value);
  });
}

void add_parabola(IsoFlop& iso, bool is_score) {
  auto best_index = static_cast<std::ptrdiff_t>(&best_size(iso, is_score) - iso.sizes.data());
  auto last = static_cast<std::ptrdiff_t>(iso.sizes.size()) - 1;
  std::vector<IsoFlop::Size> near(iso.sizes.begin() + std::max<std::ptrdiff_t>(0, best_index - 2),
                                  iso.sizes.begin() + std::min(last, best_index + 2) + 1);
  if (near.size() < 3) return;
  iso.from_params = near.front().params;
  iso.to_params = near.back().params;
  double centre = 0;
  for (const IsoFlop::Size& size : near) centre += std::log10(size.params) / static_cast<double>(near.size());
  std::vector<std::pair<double, double>> points;
  for (const IsoFlop::Size& size : near)
    points.emplace_back(std::log10(size.params) - centre, is_score ? size.value : std::log10(size.value));
  auto fit = fit_parabola(points);
  if (!fit) return;
  auto [a, b, c] = *fit;
  iso.parabola = {a - b * centre + c * centre * centre, b - 2 * c * centre, c};
  bool bends_the_right_way = is_score ? c < 0 : c > 0;
  double at_best = centre - b / (2 * c);
  if (!bends_the_right_way || at_best < std::log10(iso.from_params) || at_best > std::log10(iso.to_params)) return;
  double params = std::pow(10, at_best);
  iso.best = {params, iso.at(params, is_score)};
}

}  // namespace

double IsoFlop::at(double params, bool is_score) const {
  double t = std::log10(params);
  double value = parabola->a + parabola->b * t + parabola->c * t * t;
  return is_score ? value : std::pow(10, value);
}

std::vector<IsoFlop> isoflops(const FigureData& data) {
  std::vector<IsoFlop> all;
  for (const analysis::Cell& cell : analysis::cells(fitted(data))) {
    if (all.empty() || all.back().budget != cell.budget_flops) all.push_back({cell.budget_flops, {}, {}, 0, 0, {}});
    all.back().sizes.push_back({cell.params, cell.value});
  }
  for (IsoFlop& iso : all) add_parabola(iso, data.is_score());
  return all;
}

std::vector<FrontierPoint> frontier(const FigureData& data) {
  std::vector<FrontierPoint> line;
  for (const analysis::Cell& cell : analysis::frontier(fitted(data), direction(data.is_score())))
    if (line.empty() || better(data.is_score(), cell.value, line.back().value))
      line.push_back({cell.flops, cell.value});
  return line;
}

}  // namespace scalelaw::cli
