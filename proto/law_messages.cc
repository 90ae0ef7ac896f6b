#include "proto/law_messages.h"

#include <algorithm>

#include <fmt/format.h>

#include "proto/sha256.h"

namespace scalelaw {
namespace {

std::string hash_line(const analysis::Observation& o) {
  std::string line = fmt::format("{}\t{:.17g}\t{:.17g}\t{:.17g}\t{:.17g}\t{}\t{:.17g}", o.run, o.params, o.samples,
                                 o.flops, o.budget_flops, o.seed, o.value);
  if (o.weight != 1) line += fmt::format("\t{:.17g}", o.weight);
  for (const auto& [name, value] : o.columns) line += fmt::format("\t{}={:.17g}", name, value);
  return line + "\n";
}

}  // namespace

analysis::Observation to_analysis(const v1::Observation& o) {
  analysis::Observation result;
  result.run = std::to_string(o.run_id());
  result.params = o.params();
  result.samples = o.samples();
  result.flops = o.flops();
  result.value = o.value();
  result.budget_flops = o.budget_flops();
  result.seed = o.seed();
  return result;
}

analysis::FitOptions to_options(const v1::FitRequest& request) {
  analysis::FitOptions options;
  options.metric = request.metric();
  options.x.assign(request.x().begin(), request.x().end());
  options.form = request.form();
  options.residual = request.residual();
  options.objective = request.objective();
  if (request.has_huber_delta()) options.huber_delta = request.huber_delta();
  if (request.has_huber_scale()) options.huber_scale = request.huber_scale();
  options.fixed = {request.fixed().begin(), request.fixed().end()};
  for (const auto& [name, range] : request.search()) options.search[name] = {range.low(), range.high()};
  if (request.has_rivals()) options.rivals.emplace(request.rivals().forms().begin(), request.rivals().forms().end());
  options.resample = request.resample();
  options.intervals = request.intervals();
  options.points = request.points();
  if (request.has_chance()) options.chance = request.chance();
  if (request.has_ceiling()) options.ceiling = request.ceiling();
  if (request.has_min_flops()) options.min_flops = request.min_flops();
  if (request.has_max_flops()) options.max_flops = request.max_flops();
  options.bootstrap = request.bootstrap();
  options.seed = request.seed();
  return options;
}

std::string observations_hash(const std::string& metric, const std::vector<analysis::Observation>& observations) {
  std::vector<std::string> lines;
  for (const analysis::Observation& o : observations) lines.push_back(hash_line(o));
  std::sort(lines.begin(), lines.end());
  std::string text = metric + "\n";
  for (const std::string& line : lines) text += line;
  return sha256(text);
}

v1::Law to_message(const analysis::Law& law) {
  v1::Law message;
  message.set_metric(law.metric);
  message.set_form(law.form);
  message.set_formula(law.formula);
  message.mutable_x()->Assign(law.x.begin(), law.x.end());
  message.set_n(static_cast<int32_t>(law.points.size()));
  message.mutable_objective()->set_kind(law.objective.kind);
  message.mutable_objective()->set_residual(law.objective.residual);
  message.mutable_objective()->set_delta(law.objective.delta);
  message.mutable_objective()->set_value(law.objective.value);
  for (const analysis::Parameter& p : law.parameters) {
    v1::Parameter& parameter = *message.add_parameters();
    parameter.set_name(p.name);
    parameter.set_value(p.value);
    parameter.set_se(p.se);
    parameter.set_ci95_low(p.ci95_low);
    parameter.set_ci95_high(p.ci95_high);
    parameter.set_identified(p.identified);
    parameter.set_unbounded(p.unbounded);
    parameter.set_fixed(p.fixed);
  }
  message.set_resample(law.resample);
  message.set_intervals(law.intervals);
  message.set_condition(law.condition);
  for (const analysis::Rival& one : law.rivals) {
    v1::Rival& rival = *message.add_rivals();
    rival.set_form(one.form);
    rival.set_weight(one.weight);
  }
  message.set_r2(law.r2);
  message.set_pearson_log(law.pearson_log);
  message.mutable_warnings()->Assign(law.warnings.begin(), law.warnings.end());
  message.set_observations_hash(law.observations_hash);
  for (const analysis::Range& r : law.ranges) {
    v1::Range& range = *message.add_ranges();
    range.set_column(r.column);
    range.set_low(r.low);
    range.set_high(r.high);
  }
  return message;
}

v1::Prediction to_message(const analysis::Prediction& prediction, const std::string& metric,
                          const std::map<std::string, double>& at) {
  v1::Prediction message;
  message.set_metric(metric);
  message.mutable_at()->insert(at.begin(), at.end());
  message.set_value(prediction.value);
  message.set_low50(prediction.low50);
  message.set_high50(prediction.high50);
  message.set_low95(prediction.low95);
  message.set_high95(prediction.high95);
  message.mutable_extrapolation()->insert(prediction.extrapolation.begin(), prediction.extrapolation.end());
  message.mutable_warnings()->Assign(prediction.warnings.begin(), prediction.warnings.end());
  return message;
}

}  // namespace scalelaw
