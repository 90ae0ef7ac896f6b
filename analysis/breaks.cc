#include "analysis/breaks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/status/status.h"
#include "analysis/published.h"

namespace scalelaw::analysis {
namespace {

Sample rows_of(const Sample& sample, const std::vector<Eigen::Index>& rows) {
  return {sample.logx(rows, Eigen::all), sample.y(rows), sample.weight(rows)};
}

double rmse(const Form& form, const SmallVector& coordinates, const Sample& sample, const Criterion& criterion) {
  Workspace work;
  Eigen::VectorXd curve;
  form.values(coordinates.data(), sample.logx, work, curve);
  double squares = 0, weight = 0;
  for (Eigen::Index i = 0; i < curve.size(); ++i) {
    squares += sample.weight[i] * std::pow(criterion.residual_of(curve[i], sample.y[i]), 2);
    weight += sample.weight[i];
  }
  return std::sqrt(squares / weight);
}

}  // namespace

absl::StatusOr<ChosenBreaks> choose_breaks(const Sample& sample, const Criterion& criterion) {
  std::vector<Eigen::Index> order(static_cast<size_t>(sample.y.size()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](Eigen::Index a, Eigen::Index b) { return sample.logx(a, 0) < sample.logx(b, 0); });
  const auto kept = static_cast<std::ptrdiff_t>(order.size() - order.size() / 3);
  const Sample below = rows_of(sample, {order.begin(), order.begin() + kept});
  const Sample above = rows_of(sample, {order.begin() + kept, order.end()});
  ChosenBreaks chosen;
  for (int breaks = 1; breaks <= kMaxBreaks && above.y.size() > 0; ++breaks) {
    const std::unique_ptr<const Form> form = broken_power(breaks);
    if (below.y.size() <= static_cast<Eigen::Index>(form->parameter_names().size())) break;
    const std::vector<Optimum> optima = minimise(*form, below, criterion);
    if (optima.empty()) break;
    chosen.held_out_rmse.push_back(rmse(*form, optima.front().coordinates, above, criterion));
  }
  if (chosen.held_out_rmse.empty())
    return absl::FailedPreconditionError(
        fmt::format("too few points: {}, but form 'broken-power-auto' holds a third of them out and needs at least 10",
                    sample.y.size()));
  const double least = *std::min_element(chosen.held_out_rmse.begin(), chosen.held_out_rmse.end());
  const auto first = std::find_if(chosen.held_out_rmse.begin(), chosen.held_out_rmse.end(),
                                  [&](double error) { return error <= least * (1 + kAlikeErrors); });
  chosen.form = broken_power(static_cast<int>(first - chosen.held_out_rmse.begin()) + 1)->name();
  return chosen;
}

}  // namespace scalelaw::analysis
