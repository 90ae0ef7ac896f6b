#include "bench/analysis/left_out.h"

#include <algorithm>
#include <cmath>

namespace scalelaw::analysis {

std::vector<LeftOut> leave_out_largest(const std::vector<Observation>& runs, FitOptions options,
                                       const std::vector<double>& factors) {
  const double largest =
      std::max_element(runs.begin(), runs.end(), [](auto& a, auto& b) { return a.flops < b.flops; })->flops;
  std::vector<LeftOut> result;
  for (double k : factors) {
    options.max_flops = largest / k;
    const auto law = fit(runs, options);
    if (!law.ok()) continue;
    LeftOut& row = result.emplace_back();
    row.k = k;
    row.fitted = static_cast<int>(law->points.size());
    for (const Observation& o : runs) {
      if (o.flops <= *options.max_flops) continue;
      std::map<std::string, double> at;
      for (const std::string& column : law->x) at[column] = column_value(o, column);
      const auto p = predict(*law, at);
      ++row.held_out;
      row.inside50 += p->low50 <= o.value && o.value <= p->high50;
      row.inside95 += p->low95 <= o.value && o.value <= p->high95;
      row.bias += std::log(p->value / o.value);
    }
    row.inside50 /= row.held_out;
    row.inside95 /= row.held_out;
    row.bias /= row.held_out;
  }
  return result;
}

}  // namespace scalelaw::analysis
