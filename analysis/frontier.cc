#include "analysis/frontier.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <Eigen/Dense>

namespace scalelaw::analysis {
namespace {

constexpr double kSameSize = 0.001;

double level(const Observation& o) {
  return o.budget_flops > 0 ? o.budget_flops : o.flops;
}

/// Splits indices, sorted by key, where a key exceeds the first of its group by more than the tolerance.
template <class Key>
std::vector<std::vector<int>> group(std::vector<int> indices, double tolerance, Key key) {
  std::stable_sort(indices.begin(), indices.end(), [&](int a, int b) { return key(a) < key(b); });
  std::vector<std::vector<int>> groups;
  for (int i : indices) {
    if (groups.empty() || key(i) > key(groups.back().front()) * (1 + tolerance)) groups.emplace_back();
    groups.back().push_back(i);
  }
  return groups;
}

Cell average(const std::vector<Observation>& observations, double budget, std::vector<int> members) {
  Cell cell;
  cell.budget_flops = budget;
  double params = 0, samples = 0, flops = 0;
  for (int i : members) {
    params += std::log(observations[i].params);
    samples += std::log(observations[i].samples);
    flops += std::log(observations[i].flops);
    cell.value += observations[i].value;
  }
  const double n = static_cast<double>(members.size());
  cell.params = std::exp(params / n);
  cell.samples = std::exp(samples / n);
  cell.flops = std::exp(flops / n);
  cell.value /= n;
  cell.members = std::move(members);
  return cell;
}

bool better_than(const Cell& a, const Cell& b, Better better) {
  return better == Better::kLower ? a.value < b.value : a.value > b.value;
}

void fit_parabola(IsoFlop& iso, Better better) {
  const auto best = std::min_element(iso.cells.begin(), iso.cells.end(),
                                     [&](const Cell& a, const Cell& b) { return better_than(a, b, better); });
  iso.best_params = best->params;
  iso.best_value = best->value;
  if (iso.cells.size() < 3) {
    iso.reason = "fewer than three sizes";
    return;
  }
  // Centred, so that the normal equations are well conditioned; expanded back below.
  const int n = static_cast<int>(iso.cells.size());
  double centre = 0;
  for (const Cell& cell : iso.cells) centre += std::log(cell.params) / n;
  Eigen::MatrixX3d design(n, 3);
  Eigen::VectorXd values(n);
  for (int i = 0; i < n; ++i) {
    const double u = std::log(iso.cells[i].params) - centre;
    design.row(i) << 1, u, u * u;
    values[i] = iso.cells[i].value;
  }
  const Eigen::Vector3d c = design.colPivHouseholderQr().solve(values);
  iso.c0 = c[0] - c[1] * centre + c[2] * centre * centre;
  iso.c1 = c[1] - 2 * c[2] * centre;
  iso.c2 = c[2];
  if (better == Better::kLower ? c[2] <= 0 : c[2] >= 0) {
    iso.reason = "the parabola has no optimum";
    return;
  }
  const double extremum = -c[1] / (2 * c[2]);
  if (extremum < design(0, 1) || extremum > design(n - 1, 1)) {
    iso.reason = "the optimum lies outside the sizes that were tried";
    return;
  }
  iso.best_params = std::exp(centre + extremum);
  iso.best_value = c[0] - c[1] * c[1] / (4 * c[2]);
  iso.bracketed = true;
}

}  // namespace

std::vector<Cell> cells(const std::vector<Observation>& observations, double same_budget) {
  std::vector<int> all(observations.size());
  std::iota(all.begin(), all.end(), 0);
  std::vector<Cell> result;
  for (const auto& budget : group(all, same_budget, [&](int i) { return level(observations[i]); })) {
    double log_level = 0;
    for (int i : budget) log_level += std::log(level(observations[i]));
    const double level_mean = std::exp(log_level / static_cast<double>(budget.size()));
    for (auto& size : group(budget, kSameSize, [&](int i) { return observations[i].params; }))
      result.push_back(average(observations, level_mean, std::move(size)));
  }
  return result;
}

std::vector<Cell> frontier(const std::vector<Observation>& observations, Better better) {
  std::vector<Cell> best;
  for (Cell& cell : cells(observations)) {
    if (best.empty() || best.back().budget_flops != cell.budget_flops)
      best.push_back(std::move(cell));
    else if (better_than(cell, best.back(), better))
      best.back() = std::move(cell);
  }
  return best;
}

IsoFlop isoflop_minimum(std::vector<Cell> sizes, Better better) {
  IsoFlop iso;
  iso.budget_flops = sizes.front().budget_flops;
  iso.cells = std::move(sizes);
  fit_parabola(iso, better);
  return iso;
}

std::vector<IsoFlop> isoflop_minima(const std::vector<Observation>& observations, Better better) {
  std::vector<std::vector<Cell>> budgets;
  for (Cell& cell : cells(observations)) {
    if (budgets.empty() || budgets.back().front().budget_flops != cell.budget_flops) budgets.emplace_back();
    budgets.back().push_back(std::move(cell));
  }
  std::vector<IsoFlop> result;
  for (std::vector<Cell>& sizes : budgets) result.push_back(isoflop_minimum(std::move(sizes), better));
  return result;
}

}  // namespace scalelaw::analysis
