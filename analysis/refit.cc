#include "analysis/refit.h"

namespace scalelaw::analysis {

FitOptions options_of(const Law& law) {
  // A range is a point's own value, give or take a rounding of the mean of seeds.
  constexpr double kRounding = 1e-6;
  FitOptions options;
  options.metric = law.metric;
  options.form = law.form;
  options.x = law.x;
  options.points = law.points_kind;
  options.objective = law.objective.kind;
  options.residual = law.objective.residual;
  if (law.objective.kind == "huber") options.huber_delta = law.objective.delta;
  options.chance = law.chance;
  options.ceiling = law.ceiling;
  for (const Parameter& parameter : law.parameters)
    if (parameter.fixed) options.fixed[parameter.name] = parameter.value;
  for (const Range& range : law.ranges)
    if (range.column == "flops") {
      options.min_flops = range.low * (1 - kRounding);
      options.max_flops = range.high * (1 + kRounding);
    }
  return options;
}

}  // namespace scalelaw::analysis
