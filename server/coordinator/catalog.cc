#include "server/coordinator/catalog.h"

#include <algorithm>

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
Size size_of(const RunBudget& budget) {
  if (const auto* flops = std::get_if<FlopsBudget>(&budget)) return {BudgetKind::kFlops, flops->flops};
  if (const auto* samples = std::get_if<SamplesBudget>(&budget)) {
    return {BudgetKind::kSamples, static_cast<double>(samples->samples)};
  }
  if (const auto* steps = std::get_if<StepsBudget>(&budget))
    return {BudgetKind::kSteps, static_cast<double>(steps->steps)};
  return {};
}

EarlyStopping early_stopping_of(const v1::EarlyStopping& rule) {
  EarlyStopping plan;
  plan.metric = rule.metric();
  if (rule.has_above()) plan.above = rule.above();
  if (rule.has_worse_than_median_after()) plan.worse_than_median_after = rule.worse_than_median_after();
  return plan;
}

RunPlan plan_of(RunId id, const ExpandedStage& stage, const ExpandedRun& run) {
  RunPlan plan;
  plan.id = id;
  plan.requirements = {static_cast<int>(stage.slots), stage.labels, static_cast<int>(stage.workers), stage.gpu_model,
                       stage.gpu_memory_bytes};
  plan.retries = {static_cast<int>(stage.max_retries),
                  std::chrono::milliseconds(static_cast<int64_t>(stage.backoff_seconds * 1000))};
  plan.size = size_of(run.budget);
  return plan;
}
}  // namespace

void Catalog::restore(const StoredSchedule& stored) {
  for (size_t i = 0; i < stored.contents.size(); ++i) {
    const RunId id = stored.snapshot.runs[i].plan.id;
    runs_[{stored.contents[i].study, stored.contents[i].key}] = id;
    last_run_ = std::max(last_run_, id);
  }
  for (const Snapshot::Sweep& sweep : stored.snapshot.sweeps) last_sweep_ = std::max(last_sweep_, sweep.plan.id);
  keys_ = stored.idempotency_keys;
}

std::optional<SweepId> Catalog::sweep_of_key(const std::string& idempotency_key) const {
  const auto found = keys_.find(idempotency_key);
  return found == keys_.end() ? std::nullopt : std::optional(found->second);
}

int Catalog::count_reused(const Expansion& expansion, const Scheduler& scheduler) const {
  int count = 0;
  for (const ExpandedStage& stage : expansion.stages) {
    for (const ExpandedRun& run : stage.runs) {
      const auto found = runs_.find({stage.study, run.content_key});
      if (found == runs_.end()) continue;
      const Scheduler::Run& known = scheduler.runs().at(found->second);
      if (!ended(known.state) || known.state == RunState::kSucceeded || known.stopped_early) ++count;
    }
  }
  return count;
}

Catalog::Entry Catalog::enter(v1::SweepSpec spec, Expansion expansion, std::string idempotency_key) {
  Entry entry;
  entry.stored.id = SweepId{++last_sweep_.value};
  entry.event.sweep.id = entry.stored.id;
  entry.event.sweep.max_parallel = static_cast<int>(expansion.max_parallel);
  entry.event.sweep.priority = expansion.priority;
  entry.event.sweep.owner = expansion.owner;
  entry.event.sweep.limits = {expansion.limits.flops(), slot_time(expansion.limits.slot_hours())};
  entry.event.sweep.order = static_cast<Order>(expansion.order);
  if (!idempotency_key.empty()) keys_[idempotency_key] = entry.stored.id;
  for (const ExpandedStage& stage : expansion.stages) {
    StagePlan& plan = entry.event.sweep.stages.emplace_back();
    plan.name = stage.name;
    plan.early_stopping = early_stopping_of(stage.early_stopping);
    for (const ArtifactNeed& need : stage.needs) {
      if (std::find(plan.needs.begin(), plan.needs.end(), need.stage) == plan.needs.end())
        plan.needs.push_back(need.stage);
    }
    for (const ExpandedRun& run : stage.runs) {
      const auto [known, is_new] = runs_.try_emplace({stage.study, run.content_key});
      if (is_new) {
        known->second = RunId{++last_run_.value};
        entry.event.new_runs.push_back(plan_of(known->second, stage, run));
      }
      plan.runs.push_back(known->second);
      entry.stored.run_ids.push_back(known->second);
      entry.stored.reused.push_back(!is_new);
    }
  }
  entry.stored.spec = std::move(spec);
  entry.stored.expansion = std::move(expansion);
  entry.stored.idempotency_key = std::move(idempotency_key);
  return entry;
}

ImportedRuns Catalog::enter(v1::ImportRunsRequest request) {
  ImportedRuns entry;
  entry.idempotency_key = fmt::format("import {} {}", request.study(), request.sweep());
  const auto [sweep, new_sweep] = keys_.try_emplace(entry.idempotency_key);
  if (new_sweep) sweep->second = SweepId{++last_sweep_.value};
  entry.sweep = sweep->second;
  entry.new_sweep = new_sweep;
  for (const v1::ImportedRun& run : request.runs()) {
    const std::string content = fmt::format("{} {}", entry.idempotency_key, run.key());
    const auto [known, is_new] = runs_.try_emplace({request.study(), content});
    if (is_new) known->second = RunId{++last_run_.value};
    entry.run_ids.push_back(known->second);
    entry.content_keys.push_back(content);
    entry.is_new.push_back(is_new);
  }
  entry.request = std::move(request);
  return entry;
}

}  // namespace scalelaw::server
