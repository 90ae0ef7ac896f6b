// The part of the scheduler that knows what waits for what, and when a sweep is over.
#include <algorithm>

#include <fmt/format.h>

#include "server/scheduling/scheduler.h"

namespace scalelaw::server {

bool Scheduler::wanted(const Run& run) const {
  return std::any_of(run.members.begin(), run.members.end(),
                     [this](StageRef ref) { return !sweeps_.at(ref.sweep).cancelled; });
}

Scheduler::Gate Scheduler::gate(StageRef ref, std::string* why) const {
  Gate result = Gate::kOpen;
  for (const int need : stage(ref).plan.needs) {
    const Stage& needed = stage({ref.sweep, need});
    for (const RunState bad : {RunState::kFailed, RunState::kCancelled, RunState::kSkipped}) {
      if (needed.counts[static_cast<size_t>(bad)] == 0) continue;
      if (why != nullptr) {
        const RunId culprit = *std::find_if(needed.plan.runs.begin(), needed.plan.runs.end(),
                                            [&](RunId id) { return runs_.at(id).state == bad; });
        *why = fmt::format("stage \"{}\" is needed, and its run {} was {}", needed.plan.name, culprit.value,
                           bad == RunState::kFailed ? "not successful" : name(bad));
        const std::string& reason = runs_.at(culprit).reason;
        if (!reason.empty()) *why += ": " + reason;
      }
      return Gate::kBlocked;
    }
    if (needed.counts[static_cast<size_t>(RunState::kSucceeded)] < static_cast<int>(needed.plan.runs.size())) {
      result = Gate::kPending;
    }
  }
  return result;
}

// Skipping a run may close further gates, so this goes on until nothing changes.
void Scheduler::settle_gates() {
  while (!gates_to_settle_.empty()) {
    const StageRef ref = *gates_to_settle_.begin();
    gates_to_settle_.erase(gates_to_settle_.begin());
    if (sweeps_.at(ref.sweep).cancelled) continue;
    std::string why;
    const Gate now = gate(ref, &why);
    if (stage(ref).settled == now) continue;
    stage(ref).settled = now;
    for (const RunId id : stage(ref).plan.runs) {
      Run& run = runs_.at(id);
      if (run.owner != ref) continue;
      const bool waits = run.state == RunState::kWaiting;
      const bool skipped = run.state == RunState::kSkipped;
      if (now == Gate::kOpen && (waits || skipped)) move(run, RunState::kQueued, "");
      if (now == Gate::kPending && skipped) move(run, RunState::kWaiting, "");
      if (now == Gate::kBlocked && waits) move(run, RunState::kSkipped, why);
    }
  }
}

void Scheduler::settle_sweeps() {
  for (const SweepId id : sweeps_to_settle_) {
    Sweep& sweep = sweeps_.at(id);
    std::array<int, 8> counts{};
    int stopped_early = 0;
    for (const Stage& stage : sweep.stages) {
      for (size_t i = 0; i < counts.size(); ++i) counts[i] += stage.counts[i];
      stopped_early += stage.stopped_early;
    }
    const auto count = [&counts](RunState state) { return counts[static_cast<size_t>(state)]; };
    const int active = count(RunState::kWaiting) + count(RunState::kQueued) + count(RunState::kRunning);
    SweepState state = SweepState::kSucceeded;
    if (sweep.cancelled) {
      state = sweep.running > 0 ? SweepState::kRunning : SweepState::kCancelled;
    } else if (active > 0) {
      state = SweepState::kRunning;
    } else if (count(RunState::kFailed) + count(RunState::kSkipped) > 0) {
      state = SweepState::kFailed;
    } else if (count(RunState::kCancelled) > stopped_early) {
      state = SweepState::kCancelled;
    }
    // What has ended cannot be resumed.
    if (state != SweepState::kRunning) sweep.paused.reset();
    sweep.state = state;
    const auto decided = std::tuple(state, sweep.cancelled, sweep.paused);
    if (decided != sweep.decided) decisions_.sweeps.push_back({id, state, sweep.cancelled, sweep.paused, sweep.limits});
    sweep.decided = decided;
  }
  sweeps_to_settle_.clear();
}

}  // namespace scalelaw::server
