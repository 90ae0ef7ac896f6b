#include "server/answers/planned_sweep.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/message_differencer.h>

namespace scalelaw::server {

namespace {
using google::protobuf::util::MessageDifferencer;

constexpr double kSameSize = 1e-3;

/// The newest succeeded run of each size that stands for it, by size.
std::map<double, const v1::Run*> models_of(const std::vector<v1::Run>& runs) {
  std::map<double, const v1::Run*> models;
  for (const v1::Run& run : runs) {
    if (run.state() != v1::RUN_STATE_SUCCEEDED || run.holdout() || run.model_params() <= 0) continue;
    const v1::Run*& model = models[static_cast<double>(run.model_params())];
    if (model == nullptr || run.id() > model->id()) model = &run;
  }
  return models;
}

/// What is to be trained of one size: seeds → budgets in FLOPs.
using Budgets = std::map<std::set<int64_t>, std::set<double>>;

class Builder {
 public:
  Builder(v1::SweepSpec& sweep, const SpecOf& spec_of) : sweep_(sweep), spec_of_(spec_of) {}

  /// Stages for one size: budgets with the same seeds share one, and so do sizes that differ by parameters alone.
  absl::Status add(const v1::Run& model, const Budgets& budgets) {
    const absl::StatusOr<v1::SweepSpec> origin = spec_of_(model.sweep_id());
    if (!origin.ok()) return origin.status();
    const auto stage = std::find_if(origin->stages().begin(), origin->stages().end(),
                                    [&](const v1::StageSpec& one) { return one.name() == model.stage(); });
    if (stage == origin->stages().end())
      return absl::DataLossError(fmt::format("sweep {} has no stage {}", model.sweep_id(), model.stage()));
    if (stage->family().empty() && stage->command().empty())
      return absl::FailedPreconditionError(
          fmt::format("run {} ({}) was imported, and how to train another is not known here; write the sweep by hand",
                      model.id(), model.name()));
    v1::StageSpec base = *stage;
    for (auto& [artifact, producer] : *base.mutable_needs()) producer = bring(*origin, producer);
    base.set_study(model.study());
    base.clear_params();
    base.clear_grid();
    base.clear_list();
    base.clear_holdout();
    for (const auto& [seeds, flops] : budgets) {
      base.mutable_budget()->Clear();
      base.mutable_budget()->mutable_flops()->Assign(flops.begin(), flops.end());
      base.mutable_seeds()->Assign(seeds.begin(), seeds.end());
      *shared(base).add_list() = model.params();
    }
    return absl::OkStatus();
  }

 private:
  /// The planned stage that is like this one but for its list; made if there is none.
  v1::StageSpec& shared(v1::StageSpec stage) {
    for (v1::StageSpec& one : *sweep_.mutable_stages()) {
      if (!planned_.contains(one.name())) continue;
      v1::StageSpec without_list = one;
      without_list.clear_list();
      stage.set_name(one.name());
      if (MessageDifferencer::Equals(without_list, stage)) return one;
    }
    stage.set_name(fmt::format("next-{}", planned_.size() + 1));
    planned_.insert(stage.name());
    return *sweep_.add_stages() = stage;
  }

  /// The name under which a stage of the origin, with all that it needs itself, is in the sweep.
  std::string bring(const v1::SweepSpec& origin, const std::string& name) {
    for (v1::StageSpec stage : origin.stages()) {
      if (stage.name() != name) continue;
      for (auto& [artifact, producer] : *stage.mutable_needs()) producer = bring(origin, producer);
      if (stage.study().empty()) stage.set_study(origin.study());
      std::string free = name;
      for (int copy = 2;; ++copy) {
        stage.set_name(free);
        const auto taken = std::find_if(sweep_.stages().begin(), sweep_.stages().end(),
                                        [&](const v1::StageSpec& one) { return one.name() == free; });
        if (taken == sweep_.stages().end()) break;
        if (MessageDifferencer::Equals(*taken, stage)) return free;
        free = fmt::format("{}-{}", name, copy);
      }
      *sweep_.add_stages() = stage;
      return free;
    }
    return name;
  }

  v1::SweepSpec& sweep_;
  const SpecOf& spec_of_;
  /// Names of the stages that are new.
  std::set<std::string> planned_;
};

/// Budgets that the same seeds are wanted for, together.
Budgets by_seeds(const std::map<double, std::set<int64_t>>& seeds_of) {
  Budgets budgets;
  for (const auto& [flops, seeds] : seeds_of) budgets[seeds].insert(flops);
  return budgets;
}
}  // namespace

absl::StatusOr<PlannedSweep> planned_sweep(const v1::RunPlan& plan, const std::string& name, const std::string& study,
                                           const std::vector<v1::Run>& study_runs, const SpecOf& spec_of) {
  const std::map<double, const v1::Run*> models = models_of(study_runs);
  std::map<const v1::Run*, std::map<double, std::set<int64_t>>> wanted;
  std::set<double> unknown;
  for (const v1::PlannedRun& run : plan.runs()) {
    const auto size = run.at().find("params");
    if (size == run.at().end()) {
      for (const auto& [params, model] : models) wanted[model][run.at().at("flops")].insert(run.seed());
      continue;
    }
    const auto near = std::find_if(models.begin(), models.end(), [&](const auto& model) {
      return std::abs(model.first / size->second - 1) < kSameSize;
    });
    if (near == models.end()) {
      unknown.insert(size->second);
    } else {
      wanted[near->second][run.flops()].insert(run.seed());
    }
  }
  if (wanted.empty())
    return absl::FailedPreconditionError(fmt::format(
        "no succeeded run of study {} has one of the planned sizes: {} parameters", study, fmt::join(unknown, ", ")));
  PlannedSweep result;
  result.spec.set_name(name);
  result.spec.set_study(study);
  result.unknown_sizes.assign(unknown.begin(), unknown.end());
  Builder builder(result.spec, spec_of);
  // By size, not by where the runs lie in memory.
  for (const auto& [params, model] : models)
    if (const auto found = wanted.find(model); found != wanted.end())
      if (absl::Status status = builder.add(*model, by_seeds(found->second)); !status.ok()) return status;
  return result;
}

}  // namespace scalelaw::server
