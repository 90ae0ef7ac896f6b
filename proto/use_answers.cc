#include "proto/use_answers.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "analysis/optimal.h"
#include "analysis/plan.h"
#include "analysis/refit.h"
#include "proto/law_messages.h"

namespace scalelaw {
namespace {

v1::Estimate to_message(const analysis::Estimate& estimate) {
  v1::Estimate message;
  message.set_value(estimate.value);
  message.set_low95(estimate.low95);
  message.set_high95(estimate.high95);
  return message;
}

v1::Size to_message(const analysis::Size& size) {
  v1::Size message;
  message.set_name(size.name);
  message.set_params(size.params);
  message.set_flops_per_sample(size.flops_per_sample);
  return message;
}

analysis::TrainingCost to_analysis(const v1::TrainingCost& cost) {
  return {cost.factor(), cost.exponent()};
}

/// 0 stands for none.
double or_infinite(double limit) {
  return limit == 0 ? std::numeric_limits<double>::infinity() : limit;
}

std::string name(analysis::Limit limit) {
  switch (limit) {
    case analysis::Limit::kMinParams:
      return "min_params";
    case analysis::Limit::kMaxParams:
      return "max_params";
    case analysis::Limit::kMaxSamples:
      return "max_samples";
    default:
      return "";
  }
}

v1::OffOptimum to_message(const analysis::OffOptimum& off) {
  v1::OffOptimum message;
  message.set_factor(off.factor);
  message.set_params(off.params);
  message.set_samples(off.samples);
  message.set_value(off.value);
  *message.mutable_overhead() = to_message(off.overhead);
  return message;
}

v1::SizeChoice to_message(const analysis::SizeChoice& choice) {
  v1::SizeChoice message;
  *message.mutable_size() = to_message(choice.size);
  *message.mutable_samples() = to_message(choice.samples);
  *message.mutable_value() = to_message(choice.value);
  *message.mutable_flops() = to_message(choice.flops);
  message.set_best_share(choice.best_share);
  return message;
}

v1::Optimum to_message(const analysis::Optimal& best, const std::string& metric, bool steps) {
  v1::Optimum message;
  message.set_metric(metric);
  *message.mutable_params() = to_message(best.params);
  *message.mutable_samples() = to_message(best.samples);
  if (steps) *message.mutable_steps() = to_message(best.steps);
  *message.mutable_value() = to_message(best.value);
  *message.mutable_prediction() =
      scalelaw::to_message(best.prediction, metric, {{"params", best.params.value}, {"samples", best.samples.value}});
  *message.mutable_flops() = to_message(best.flops);
  message.set_training_flops(best.training_flops);
  message.set_serving_flops(best.serving_flops);
  if (std::isfinite(best.params_exponent.value)) {
    *message.mutable_params_exponent() = to_message(best.params_exponent);
    *message.mutable_samples_exponent() = to_message(best.samples_exponent);
  }
  message.set_limit(name(best.limit));
  *message.mutable_overhead() = to_message(best.overhead);
  for (const analysis::OffOptimum& off : best.off) *message.add_off() = to_message(off);
  message.set_params_low(best.params_low);
  message.set_params_high(best.params_high);
  for (const analysis::SizeChoice& choice : best.sizes) *message.add_sizes() = to_message(choice);
  message.set_without_optimum(best.without_optimum);
  message.mutable_warnings()->Assign(best.warnings.begin(), best.warnings.end());
  return message;
}

v1::Comparison to_message(const analysis::Comparison& comparison) {
  v1::Comparison message;
  message.set_metric(comparison.metric);
  message.set_column(comparison.column);
  message.set_paired(comparison.paired);
  for (const analysis::ComparedAt& one : comparison.at) {
    v1::ComparedAt& at = *message.add_at();
    at.set_at(one.at);
    *at.mutable_a() = to_message(one.a);
    *at.mutable_b() = to_message(one.b);
    *at.mutable_multiplier() = to_message(one.multiplier);
    at.set_unreachable(one.unreachable);
    if (!std::isnan(one.a_better)) at.set_a_better(one.a_better);
    at.set_inside(one.inside);
  }
  for (const analysis::Crossing& one : comparison.crossings) {
    v1::Crossing& crossing = *message.add_crossings();
    *crossing.mutable_at() = to_message(one.at);
    crossing.set_share(one.share);
    crossing.set_inside(one.inside);
    crossing.set_a_better_beyond(one.a_better_beyond);
  }
  message.set_crossing_share(comparison.crossing_share);
  message.mutable_warnings()->Assign(comparison.warnings.begin(), comparison.warnings.end());
  return message;
}

/// At most so many, spread over them all, the first and the last among them.
std::vector<double> thinned(const std::vector<double>& values) {
  constexpr size_t kMost = 24;
  if (values.size() <= kMost) return values;
  std::vector<double> some;
  for (size_t i = 0; i < kMost; ++i) some.push_back(values[i * (values.size() - 1) / (kMost - 1)]);
  return some;
}

/// The study's sizes, unless the request names others.
std::vector<double> candidate_sizes(const v1::PlanRequest& request,
                                    const std::vector<analysis::Observation>& observations) {
  if (!request.sizes().empty()) return {request.sizes().begin(), request.sizes().end()};
  std::set<double> sizes;
  for (const analysis::Observation& o : observations)
    if (o.params > 0) sizes.insert(o.params);
  return thinned({sizes.begin(), sizes.end()});
}

double three_digits(double value) {
  const double unit = std::pow(10, std::floor(std::log10(value)) - 2);
  return std::round(value / unit) * unit;
}

/// The study's budgets and further ones in their ratio, as far as the money goes.
std::vector<double> candidate_budgets(const v1::PlanRequest& request,
                                      const std::vector<analysis::Observation>& observations) {
  if (!request.budgets().empty()) return {request.budgets().begin(), request.budgets().end()};
  constexpr double kSame = 1.05;
  std::vector<double> all;
  for (const analysis::Observation& o : observations) {
    const double budget = o.budget_flops > 0 ? o.budget_flops : o.flops;
    if (budget > 0) all.push_back(budget);
  }
  std::sort(all.begin(), all.end());
  std::vector<double> budgets;
  for (const double budget : all)
    if (budgets.empty() || budget > kSame * budgets.back()) budgets.push_back(budget);
  if (budgets.empty()) return budgets;
  constexpr double kUsualRatio = 2, kFurther = 64;
  const double ratio =
      budgets.size() < 2
          ? kUsualRatio
          : std::clamp(std::pow(budgets.back() / budgets.front(), 1.0 / static_cast<double>(budgets.size() - 1)), 1.5,
                       4.0);
  const double most = request.flops() > 0 ? request.flops() : kFurther * budgets.back();
  while (budgets.back() * ratio <= most) budgets.push_back(three_digits(budgets.back() * ratio));
  std::erase_if(budgets, [most](double budget) { return budget > most; });
  return thinned(budgets);
}

v1::RunPlan to_message(const analysis::Plan& plan, const std::string& metric) {
  v1::RunPlan message;
  message.set_metric(metric);
  message.set_target(plan.target);
  for (const analysis::PlannedRun& one : plan.runs) {
    v1::PlannedRun& run = *message.add_runs();
    run.mutable_at()->insert(one.at.begin(), one.at.end());
    run.set_flops(one.flops);
    run.set_seed(one.seed);
    run.set_contribution(one.contribution);
    run.set_half_width(one.half_width);
  }
  message.set_flops(plan.flops);
  message.set_curve_before(plan.before.curve);
  message.set_curve_after(plan.after.curve);
  message.set_run_before(plan.before.run);
  message.set_run_after(plan.after.run);
  message.set_reached(plan.reached);
  message.mutable_warnings()->Assign(plan.warnings.begin(), plan.warnings.end());
  return message;
}

}  // namespace

absl::StatusOr<v1::TrainingCost> training_cost(bool given, const v1::TrainingCost& cost, const std::string& field,
                                               const std::vector<analysis::Observation>& observations) {
  v1::TrainingCost result;
  if (given) {
    if (!(cost.factor() > 0) || !(cost.exponent() > 0))
      return absl::InvalidArgumentError(fmt::format("{0}.factor, {0}.exponent: both must be positive", field));
    result = cost;
    result.set_source("given");
    return result;
  }
  const auto fitted = analysis::fit_training_cost(observations);
  const analysis::TrainingCost chosen = fitted.ok() ? *fitted : analysis::TrainingCost{};
  result.set_factor(chosen.factor);
  result.set_exponent(chosen.exponent);
  result.set_source(fitted.ok() ? "fitted" : "default");
  return result;
}

absl::StatusOr<v1::Optimum> answer(const v1::OptimalRequest& request, const analysis::Law& law,
                                   const std::vector<analysis::Observation>& observations) {
  const auto cost = training_cost(request.has_cost(), request.cost(), "cost", observations);
  if (!cost.ok()) return cost.status();
  analysis::OptimalOptions options;
  if (request.has_flops()) options.flops = request.flops();
  if (request.has_target()) options.target = request.target();
  options.surface.cost = to_analysis(*cost);
  options.surface.at = {request.at().begin(), request.at().end()};
  options.spending.served_samples = request.served_samples();
  if (request.passes_per_served_sample() != 0)
    options.spending.passes_per_served_sample = request.passes_per_served_sample();
  options.spending.min_params = request.min_params();
  options.spending.max_params = or_infinite(request.max_params());
  options.spending.max_samples = or_infinite(request.max_samples());
  for (const v1::Size& size : request.sizes())
    options.sizes.push_back({size.name(), size.params(), size.flops_per_sample()});
  options.batch = request.batch();
  if (!request.off_factors().empty())
    options.off_factors.assign(request.off_factors().begin(), request.off_factors().end());
  if (request.has_tolerance()) options.tolerance = request.tolerance();
  const absl::StatusOr<analysis::Optimal> best = analysis::optimal(law, options);
  if (!best.ok()) return best.status();
  v1::Optimum message = to_message(*best, law.metric, request.batch() > 0);
  *message.mutable_cost() = *cost;
  return message;
}

absl::StatusOr<v1::Comparison> answer(const v1::CompareRequest& request, const Compared& a, const Compared& b) {
  const auto cost_a = training_cost(request.has_cost_a(), request.cost_a(), "cost_a", a.observations);
  if (!cost_a.ok()) return cost_a.status();
  const auto cost_b = training_cost(request.has_cost_b(), request.cost_b(), "cost_b", b.observations);
  if (!cost_b.ok()) return cost_b.status();
  analysis::CompareOptions options;
  options.at.assign(request.at().begin(), request.at().end());
  options.a.cost = to_analysis(*cost_a);
  options.b.cost = to_analysis(*cost_b);
  if (request.horizon() != 0) options.horizon = request.horizon();

  std::optional<analysis::PairedFit> together;
  std::string reason = "the runs that the laws were fitted to are not at hand";
  if (!a.observations.empty() && !b.observations.empty()) {
    analysis::FitOptions of_a = analysis::options_of(a.law), of_b = analysis::options_of(b.law);
    of_a.bootstrap = static_cast<int>(a.law.draws.size());
    of_b.bootstrap = static_cast<int>(b.law.draws.size());
    auto fitted = analysis::fit_paired(a.observations, of_a, b.observations, of_b);
    reason = fitted.ok() ? fitted->reason : std::string(fitted.status().message());
    if (fitted.ok() && fitted->paired) together = *std::move(fitted);
  }
  options.paired = together.has_value();
  const absl::StatusOr<analysis::Comparison> comparison =
      analysis::compare(together ? together->a : a.law, together ? together->b : b.law, options);
  if (!comparison.ok()) return comparison.status();
  v1::Comparison message = to_message(*comparison);
  message.set_a(a.name);
  message.set_b(b.name);
  if (!together) message.set_unpaired_because(reason);
  return message;
}

absl::StatusOr<v1::RunPlan> answer(const v1::PlanRequest& request, const analysis::Law& law,
                                   const std::vector<analysis::Observation>& observations) {
  const auto cost = training_cost(request.has_cost(), request.cost(), "cost", observations);
  if (!cost.ok()) return cost.status();
  analysis::PlanOptions options;
  options.at = {request.at().begin(), request.at().end()};
  if (request.has_best_params_at_flops()) options.best_params_at_flops = request.best_params_at_flops();
  options.surface.cost = to_analysis(*cost);
  options.flops = request.flops();
  if (request.has_half_width()) options.half_width = request.half_width();
  if (request.max_runs() != 0) options.max_runs = request.max_runs();
  if (observations.empty() && (request.sizes().empty() || request.budgets().empty()))
    return absl::InvalidArgumentError("sizes, budgets: name both, as there are no runs to take them from");
  constexpr int kUsualRepeats = 4;
  auto candidates =
      analysis::candidate_grid(law, candidate_budgets(request, observations), candidate_sizes(request, observations),
                               request.repeats() != 0 ? request.repeats() : kUsualRepeats, options.surface);
  if (!candidates.ok()) return candidates.status();
  options.candidates = *std::move(candidates);
  const absl::StatusOr<analysis::Plan> plan = analysis::plan(law, observations, options);
  if (!plan.ok()) return plan.status();
  v1::RunPlan message = to_message(*plan, law.metric);
  if (request.has_best_params_at_flops()) message.set_best_params_at_flops(request.best_params_at_flops());
  *message.mutable_cost() = *cost;
  return message;
}

}  // namespace scalelaw
