#include "server/answers/presentation.h"

#include <chrono>
#include <cmath>
#include <future>
#include <utility>

#include "server/coordinator/estimate.h"

namespace scalelaw::server {

namespace {
int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int usable_slots(const Coordinator::Workers& workers) {
  int slots = 0;
  for (const auto& [id, worker] : workers) {
    if (worker.state == WorkerState::kReady) slots += worker.slots;
  }
  return slots;
}

v1::Run preview_run(const ExpandedStage& stage, const ExpandedRun& expanded) {
  v1::Run run;
  run.set_study(stage.study);
  run.set_stage(stage.name);
  run.set_name(expanded.name);
  *run.mutable_params() = expanded.params;
  if (const auto* flops = std::get_if<FlopsBudget>(&expanded.budget)) run.set_budget_flops(flops->flops);
  if (const auto* samples = std::get_if<SamplesBudget>(&expanded.budget)) run.set_budget_samples(samples->samples);
  if (const auto* steps = std::get_if<StepsBudget>(&expanded.budget)) run.set_budget_steps(steps->steps);
  run.set_seed(expanded.seed);
  run.set_holdout(stage.holdout);
  for (const std::string& word : stage.command) run.add_command(word);
  run.set_slots(stage.slots);
  run.mutable_labels()->insert(stage.labels.begin(), stage.labels.end());
  run.set_workers(stage.workers);
  run.set_gpu_model(stage.gpu_model);
  run.set_gpu_memory_gib(static_cast<double>(stage.gpu_memory_bytes) / (1 << 30));
  return run;
}
}  // namespace

absl::StatusOr<v1::SweepSnapshot> Presentation::snapshot(const std::string& id_or_name) const {
  absl::StatusOr<v1::Sweep> sweep = store_.sweep(id_or_name);
  if (!sweep.ok()) return sweep.status();
  absl::StatusOr<std::vector<v1::Run>> runs = store_.runs_of_sweep(sweep->id());
  if (!runs.ok()) return runs.status();
  v1::SweepSnapshot snapshot;
  if (sweep->state() == v1::SWEEP_STATE_RUNNING) {
    const auto left = sweep_seconds_left(*runs, usable_slots(*coordinator_.workers()), now_ms());
    if (left.has_value()) sweep->set_seconds_left(*left);
  }
  *snapshot.mutable_sweep() = *std::move(sweep);
  const bool paused = snapshot.sweep().state() == v1::SWEEP_STATE_PAUSED;
  for (v1::Run& run : *runs) {
    explain(run);
    if (paused && run.state() == v1::RUN_STATE_QUEUED) run.set_reason("paused: " + snapshot.sweep().reason());
    *snapshot.add_runs() = std::move(run);
  }
  return snapshot;
}

absl::StatusOr<std::vector<v1::Sweep>> Presentation::sweeps(const std::string& study) const {
  absl::StatusOr<std::vector<v1::Sweep>> sweeps = store_.sweeps(study);
  if (!sweeps.ok()) return sweeps;
  for (v1::Sweep& sweep : *sweeps) {
    if (sweep.state() != v1::SWEEP_STATE_RUNNING) continue;
    absl::StatusOr<v1::SweepSnapshot> shown = snapshot(std::to_string(sweep.id()));
    if (shown.ok()) sweep = std::move(*shown->mutable_sweep());
  }
  return sweeps;
}

std::vector<v1::Worker> Presentation::workers() const {
  std::promise<std::vector<v1::Worker>> listed;
  coordinator_.list_workers([&](std::vector<v1::Worker> workers) { listed.set_value(std::move(workers)); });
  return listed.get_future().get();
}

std::string Presentation::why_not_yet(const QueuedRuns& runs) const {
  if (runs.state != name(RunState::kQueued) || !runs.reason.empty()) return runs.reason;
  return placement_obstacle(runs.need, *coordinator_.workers());
}

void Presentation::explain(v1::Run& run) const {
  if (const auto left = run_seconds_left(run, now_ms())) run.set_seconds_left(*left);
  if (run.state() == v1::RUN_STATE_QUEUED && run.reason().empty()) {
    const Requirements need{static_cast<int>(run.slots()),
                            {run.labels().begin(), run.labels().end()},
                            static_cast<int>(run.workers()),
                            run.gpu_model(),
                            std::llround(run.gpu_memory_gib() * (1 << 30))};
    run.set_reason(placement_obstacle(need, *coordinator_.workers()));
  }
}

v1::SweepSnapshot preview(const Expansion& expansion) {
  v1::SweepSnapshot snapshot;
  v1::Sweep& sweep = *snapshot.mutable_sweep();
  sweep.set_name(expansion.name);
  sweep.set_study(expansion.study);
  sweep.set_priority(expansion.priority);
  sweep.set_owner(expansion.owner);
  for (const ExpandedStage& stage : expansion.stages) {
    for (const ExpandedRun& run : stage.runs) {
      *snapshot.add_runs() = preview_run(stage, run);
      sweep.set_flops_planned(sweep.flops_planned() + snapshot.runs().rbegin()->budget_flops());
    }
  }
  sweep.mutable_runs()->set_total(snapshot.runs_size());
  return snapshot;
}

}  // namespace scalelaw::server
