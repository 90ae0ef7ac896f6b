#include "proto/choice_answers.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/approaches.h"
#include "analysis/chain.h"
#include "analysis/form.h"
#include "analysis/hygiene.h"
#include "analysis/selection.h"
#include "proto/law_messages.h"

namespace scalelaw {
namespace {

v1::RankedForm to_message(const analysis::RankedForm& ranked) {
  v1::RankedForm message;
  message.set_form(ranked.form);
  message.mutable_x()->Assign(ranked.x.begin(), ranked.x.end());
  message.set_error(ranked.error);
  message.set_bias(ranked.bias);
  if (!std::isnan(ranked.coverage95)) message.set_coverage95(ranked.coverage95);
  message.set_excess(ranked.excess);
  message.set_excess_se(ranked.excess_se);
  message.set_survives(ranked.survives);
  if (!std::isnan(ranked.weight)) message.set_weight(ranked.weight);
  for (const analysis::FactorError& one : ranked.by_factor) {
    v1::FactorError& error = *message.add_by_factor();
    error.set_low(one.low);
    error.set_high(one.high);
    error.set_count(one.count);
    error.set_error(one.error);
    error.set_bias(one.bias);
    if (!std::isnan(one.coverage95)) error.set_coverage95(one.coverage95);
  }
  for (const std::string& failure : ranked.failures)
    if (!failure.empty()) message.add_failures(failure);
  return message;
}

v1::PowerLaw to_message(const analysis::PowerLaw& law, double at) {
  v1::PowerLaw message;
  message.set_exponent(law.exponent);
  message.set_exponent_se(law.exponent_se);
  message.set_coefficient(law.coefficient);
  message.set_value(law.at(at));
  message.set_log_se(law.log_se(at));
  return message;
}

/// By this form, of its own columns.
analysis::FitOptions fit_by(const std::string& form, analysis::FitOptions options) {
  options.form = form;
  options.x.clear();
  return options;
}

std::map<std::string, double> by_column(const analysis::Law& law, const std::vector<double>& x) {
  std::map<std::string, double> columns;
  for (size_t c = 0; c < law.x.size() && c < x.size(); ++c) columns[law.x[c]] = x[c];
  return columns;
}

}  // namespace

std::vector<analysis::FitOptions> possible_fits(const std::vector<analysis::Observation>& observations,
                                                const analysis::FitOptions& options) {
  const bool bounded = options.chance.has_value() && options.ceiling.has_value();
  std::vector<analysis::FitOptions> fits;
  for (const std::string& form : analysis::form_names()) {
    // Every draw of two or three breaks takes a second: whoever wants these names them.
    if (form == "broken-power-2" || form == "broken-power-3") continue;
    if (analysis::make_form(form, {})->bounded() != bounded) continue;
    const analysis::FitOptions fit = fit_by(form, options);
    if (analysis::check_fit(observations, fit).ok()) fits.push_back(fit);
  }
  return fits;
}

absl::StatusOr<analysis::Law> fit_law(const std::vector<analysis::Observation>& observations,
                                      const std::vector<analysis::Observation>& losses, analysis::FitOptions options) {
  const bool chain = !analysis::split_chain(options.form).link.empty();
  if (chain && losses.empty())
    return absl::InvalidArgumentError(
        fmt::format("loss: '{}' goes by way of the runs' loss; name it, as with --loss val_loss", options.form));
  if (!chain && !losses.empty())
    return absl::InvalidArgumentError(
        fmt::format("loss: only a chain goes by way of a loss, such as chinchilla>sigmoid, not '{}'", options.form));
  std::vector<analysis::Observation> all = observations;
  all.insert(all.end(), losses.begin(), losses.end());
  options.observations_hash = observations_hash(options.metric, all);
  if (chain) return analysis::fit_chain(losses, observations, options);
  if (options.form != kStack) return analysis::fit(observations, options);
  const std::vector<analysis::FitOptions> candidates = possible_fits(observations, options);
  const absl::StatusOr<analysis::Selection> selection = analysis::select_form(observations, candidates);
  if (!selection.ok()) return selection.status();
  return analysis::fit_stack(observations, candidates, *selection);
}

absl::StatusOr<v1::Ranking> answer(const v1::RankRequest& request,
                                   const std::vector<analysis::Observation>& observations,
                                   const analysis::FitOptions& options) {
  std::vector<analysis::FitOptions> candidates;
  for (const std::string& form : request.forms()) candidates.push_back(fit_by(form, options));
  if (candidates.empty()) candidates = possible_fits(observations, options);
  analysis::SelectionOptions selection;
  if (!request.factors().empty()) selection.factors.assign(request.factors().begin(), request.factors().end());
  if (request.has_bootstrap()) selection.bootstrap = request.bootstrap();
  const absl::StatusOr<analysis::Selection> ranking = analysis::select_form(observations, candidates, selection);
  if (!ranking.ok()) return ranking.status();

  v1::Ranking message;
  message.set_metric(options.metric);
  message.set_by(ranking->by);
  for (const analysis::Split& one : ranking->splits) {
    v1::Split& split = *message.add_splits();
    split.set_factor(one.k);
    split.set_threshold(one.threshold);
    split.set_fitted(one.fitted);
    split.set_held_out(one.held_out);
  }
  message.mutable_skipped()->Assign(ranking->skipped.begin(), ranking->skipped.end());
  for (const analysis::RankedForm& ranked : ranking->ranking) *message.add_forms() = to_message(ranked);
  message.mutable_warnings()->Assign(ranking->warnings.begin(), ranking->warnings.end());
  return message;
}

absl::StatusOr<v1::ApproachesResponse> answer(const v1::ApproachesRequest& request,
                                              const std::vector<analysis::Observation>& observations,
                                              const analysis::FitOptions& options) {
  analysis::ApproachOptions approaches;
  for (const std::string& name : request.approaches()) {
    const absl::StatusOr<analysis::Approach> approach = analysis::approach_of(name);
    if (!approach.ok()) return approach.status();
    approaches.approaches.push_back(*approach);
  }
  approaches.surface = options;
  approaches.surface.x = {"params", "samples"};
  if (approaches.surface.form.empty()) approaches.surface.form = "chinchilla";
  if (options.chance || options.ceiling) approaches.better = analysis::Better::kHigher;
  approaches.at_flops = request.at_flops();
  if (request.draws() != 0) approaches.draws = request.draws();
  const absl::StatusOr<analysis::ApproachComparison> study = analysis::compare_approaches(observations, approaches);
  if (!study.ok()) return study.status();

  v1::ApproachesResponse message;
  message.set_metric(options.metric);
  for (const auto& one : study->approaches) {
    v1::Approach& approach = *message.add_approaches();
    approach.set_name(std::string(analysis::approach_name(one.approach)));
    for (const analysis::BudgetOptimum& best : one.optima) {
      v1::BudgetOptimum& optimum = *approach.add_optima();
      optimum.set_flops(best.flops);
      optimum.set_params(best.params);
      optimum.set_samples(best.samples);
      optimum.set_value(best.value);
      optimum.set_log_std(best.log_std);
    }
    *approach.mutable_params() = to_message(one.params, study->at_flops);
    *approach.mutable_samples() = to_message(one.samples, study->at_flops);
    if (one.own_bias) {
      approach.set_bias_exponent(one.own_bias->exponent);
      approach.set_bias_log_params(one.own_bias->log_params);
    }
    for (const analysis::BudgetWithout& skipped : one.skipped) {
      v1::BudgetWithout& budget = *approach.add_skipped();
      budget.set_flops(skipped.flops);
      budget.set_reason(skipped.reason);
    }
    for (const std::string& warning : one.warnings) approach.add_warnings(warning);
  }
  message.mutable_impossible()->Assign(study->impossible.begin(), study->impossible.end());
  for (const analysis::Disagreement& one : study->disagreements) {
    v1::Disagreement& disagreement = *message.add_disagreements();
    disagreement.set_a(std::string(analysis::approach_name(one.a)));
    disagreement.set_b(std::string(analysis::approach_name(one.b)));
    disagreement.set_quantity(one.quantity);
    disagreement.set_a_value(one.a_value);
    disagreement.set_b_value(one.b_value);
    disagreement.set_se(one.se);
    disagreement.set_z(one.z);
    disagreement.set_critical(one.critical);
    disagreement.set_disagree(one.disagree);
    disagreement.set_expected(one.expected);
  }
  message.set_verdict(study->verdict);
  message.set_at_flops(study->at_flops);
  message.set_noise(study->noise);
  message.set_noise_source(study->noise_source);
  message.set_flops_per_param_sample(study->flops_per_param_sample);
  return message;
}

absl::StatusOr<v1::Diagnosis> answer(const v1::DiagnoseRequest& request,
                                     const std::vector<analysis::Observation>& observations,
                                     const analysis::FitOptions& options) {
  analysis::DiagnoseOptions diagnose_options;
  diagnose_options.at = {request.at().begin(), request.at().end()};
  if (request.has_outlier_z()) diagnose_options.outlier_z = request.outlier_z();
  const absl::StatusOr<analysis::Diagnosis> diagnosis = analysis::diagnose(observations, options, diagnose_options);
  if (!diagnosis.ok()) return diagnosis.status();

  const analysis::Law& law = diagnosis->law;
  v1::Diagnosis message;
  *message.mutable_law() = to_message(law);
  if (diagnosis->without_outliers) *message.mutable_without_outliers() = to_message(*diagnosis->without_outliers);
  for (const analysis::Range& range : law.ranges) (*message.mutable_at())[range.column] = 10 * range.high;
  for (const auto& [column, value] : request.at()) (*message.mutable_at())[column] = value;
  for (const analysis::Influence& one : diagnosis->influences) {
    v1::Influence& influence = *message.add_influences();
    influence.set_run(one.run);
    influence.set_rows(one.rows);
    influence.set_prediction_change(one.prediction_change);
    for (size_t p = 0; p < law.parameters.size() && p < one.parameter_change.size(); ++p)
      (*influence.mutable_parameter_change())[law.parameters[p].name] = one.parameter_change[p];
    influence.set_estimated(!one.refitted);
  }
  for (const analysis::Outlier& one : diagnosis->outliers) {
    v1::Outlier& outlier = *message.add_outliers();
    outlier.mutable_runs()->Assign(one.runs.begin(), one.runs.end());
    const auto at = by_column(law, one.x);
    outlier.mutable_at()->insert(at.begin(), at.end());
    outlier.set_value(one.value);
    outlier.set_fitted(one.fitted);
    outlier.set_residual(one.residual);
    outlier.set_z(one.z);
  }
  if (diagnosis->flops) {
    v1::FlopConvention& flops = *message.mutable_flops();
    flops.set_ratio(diagnosis->flops->ratio);
    flops.set_log_spread(diagnosis->flops->log_spread);
    flops.set_slope(diagnosis->flops->slope);
    flops.set_rows(diagnosis->flops->rows);
  }
  message.set_rows(diagnosis->repeated.rows);
  message.set_runs(diagnosis->repeated.runs);
  message.set_repeated_runs(diagnosis->repeated.repeated);
  message.set_most_rows(diagnosis->repeated.most_rows);
  message.mutable_warnings()->Assign(diagnosis->warnings.begin(), diagnosis->warnings.end());
  return message;
}

}  // namespace scalelaw
