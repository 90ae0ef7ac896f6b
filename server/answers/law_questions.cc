// Answers that search or fit again: laws and runs are looked up here, and answered in proto/use_answers.h and
// proto/choice_answers.h.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "proto/choice_answers.h"
#include "proto/law_messages.h"
#include "proto/use_answers.h"
#include "server/answers/fit_inputs.h"
#include "server/answers/law_answers.h"
#include "server/answers/planned_sweep.h"

namespace scalelaw::server {

namespace {
const std::vector<std::string> kSurface = {"params", "samples"};
}  // namespace

absl::StatusOr<KnownLawPtr> LawAnswers::find(const v1::LawReference& reference, const std::string& field,
                                             const std::vector<std::string>& columns) {
  if (reference.law_id() != 0) return law(reference.law_id());
  if (reference.study().empty() || reference.metric().empty())
    return absl::InvalidArgumentError(fmt::format("{}: give a law_id, or a study and a metric", field));
  return newest_law(reference.study(), reference.metric(), columns);
}

absl::StatusOr<std::vector<analysis::Observation>> LawAnswers::runs_of(const KnownLaw& known) const {
  const auto observations = fit_observations(store_, known.stored.study, known.stored.metric);
  if (!observations.ok()) return observations.status();
  std::vector<analysis::Observation> rows;
  for (const v1::Observation& o : *observations) rows.push_back(to_analysis(o));
  return rows;
}

absl::StatusOr<v1::Optimum> LawAnswers::optimal(const v1::OptimalRequest& request) {
  const absl::StatusOr<KnownLawPtr> known = find(request.law(), "law", kSurface);
  if (!known.ok()) return known.status();
  const auto runs = runs_of(**known);
  if (!runs.ok()) return runs.status();
  absl::StatusOr<v1::Optimum> best = answer(request, (*known)->law, *runs);
  if (best.ok()) {
    best->set_law_id((*known)->stored.id);
    best->mutable_prediction()->set_law_id((*known)->stored.id);
  }
  return best;
}

absl::StatusOr<v1::Comparison> LawAnswers::compare(const v1::CompareRequest& request) {
  const absl::StatusOr<KnownLawPtr> a = find(request.a(), "a", {});
  if (!a.ok()) return a.status();
  const absl::StatusOr<KnownLawPtr> b = find(request.b(), "b", {});
  if (!b.ok()) return b.status();
  auto runs_a = runs_of(**a), runs_b = runs_of(**b);
  if (!runs_a.ok()) return runs_a.status();
  if (!runs_b.ok()) return runs_b.status();
  const auto name = [](const KnownLaw& known) {
    return fmt::format("law {} of {}", known.stored.id, known.stored.study);
  };
  return answer(request, Compared{name(**a), (*a)->law, *std::move(runs_a)},
                Compared{name(**b), (*b)->law, *std::move(runs_b)});
}

absl::StatusOr<v1::RunPlan> LawAnswers::plan(const v1::PlanRequest& request) {
  std::vector<std::string> columns;
  for (const auto& [column, value] : request.at()) columns.push_back(column);
  if (columns.empty()) columns = kSurface;
  std::sort(columns.begin(), columns.end());
  const absl::StatusOr<KnownLawPtr> known = find(request.law(), "law", columns);
  if (!known.ok()) return known.status();
  const auto runs = runs_of(**known);
  if (!runs.ok()) return runs.status();
  absl::StatusOr<v1::RunPlan> plan = answer(request, (*known)->law, *runs);
  if (!plan.ok()) return plan.status();
  const std::string& study = (*known)->stored.study;
  plan->set_law_id((*known)->stored.id);
  if (plan->runs().empty()) return plan;
  const auto study_runs = store_.runs_of_study(study);
  if (!study_runs.ok()) return study_runs.status();
  const std::string name = request.sweep_name().empty() ? study + "-next" : request.sweep_name();
  absl::StatusOr<PlannedSweep> sweep =
      planned_sweep(*plan, name, study, *study_runs, [this](int32_t id) { return store_.sweep_spec(id); });
  if (!sweep.ok()) {
    plan->add_warnings(fmt::format("there is no sweep to submit: {}", std::string(sweep.status().message())));
    return plan;
  }
  for (const double size : sweep->unknown_sizes)
    plan->add_warnings(fmt::format("no run of {} has {:.6g} parameters: its runs are not in the sweep", study, size));
  *plan->mutable_sweep() = std::move(sweep->spec);
  return plan;
}

absl::StatusOr<v1::Ranking> LawAnswers::rank(const v1::RankRequest& request) {
  const absl::StatusOr<FitInputs> inputs = fit_inputs(store_, request.runs());
  return inputs.ok() ? answer(request, inputs->runs, inputs->options) : inputs.status();
}

absl::StatusOr<v1::ApproachesResponse> LawAnswers::approaches(const v1::ApproachesRequest& request) {
  const absl::StatusOr<FitInputs> inputs = fit_inputs(store_, request.runs());
  return inputs.ok() ? answer(request, inputs->runs, inputs->options) : inputs.status();
}

absl::StatusOr<v1::Diagnosis> LawAnswers::diagnose(const v1::DiagnoseRequest& request) {
  const absl::StatusOr<FitInputs> inputs = fit_inputs(store_, request.fit());
  return inputs.ok() ? answer(request, inputs->runs, inputs->options) : inputs.status();
}

}  // namespace scalelaw::server
