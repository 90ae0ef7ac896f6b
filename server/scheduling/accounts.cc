// The part of the scheduler that keeps what sweeps spend within their limits.
#include <fmt/format.h>

#include "server/scheduling/scheduler.h"

namespace scalelaw::server {

namespace {
using std::chrono::milliseconds;

double hours(milliseconds slot_time) {
  return static_cast<double>(slot_time.count()) / 3'600'000;
}

/// Which limit is reached, or empty.
std::string reached(const Limits& spent, const Limits& limits) {
  if (limits.flops > 0 && spent.flops >= limits.flops) {
    return fmt::format("limits.flops: {:.3g} of {:.3g} FLOPs are spent", spent.flops, limits.flops);
  }
  if (limits.slot_time.count() > 0 && spent.slot_time >= limits.slot_time) {
    return fmt::format("limits.slot_hours: {:.3g} of {:.3g} slot-hours are spent", hours(spent.slot_time),
                       hours(limits.slot_time));
  }
  return "";
}
}  // namespace

Limits Scheduler::spent(SweepId id) const {
  const Sweep& sweep = sweeps_.at(id);
  return {sweep.flops, sweep.slot_time + sweep.slots * (now_ - sweep.accrued)};
}

void Scheduler::charge(Sweep& sweep, int slots) {
  sweep.slot_time += sweep.slots * (now_ - sweep.accrued);
  sweep.accrued = now_;
  sweep.slots += slots;
  used_by_[sweep.owner] += slots;
}

// Runs of a sweep that is paused may be handed to another, which then has their FLOPs: until nothing changes.
void Scheduler::check_limits() {
  for (auto limited = limited_.begin(); limited != limited_.end();) {
    const SweepId id = *limited++;
    const Sweep& sweep = sweeps_.at(id);
    if (sweep.paused.has_value() || sweep.cancelled || sweep.state != SweepState::kRunning) continue;
    const std::string why = reached(spent(id), sweep.limits);
    if (why.empty()) continue;
    on(SweepPaused{id, why, false});
    limited = limited_.begin();
  }
}

void Scheduler::on(const SweepPaused& event) {
  Sweep& sweep = sweeps_.at(event.sweep);
  if (sweep.cancelled || sweep.state != SweepState::kRunning) return;
  sweep.paused = event.reason;
  sweeps_to_settle_.insert(event.sweep);
  for (const Stage& stage : sweep.stages) {
    for (const RunId id : stage.plan.runs) {
      Run& run = runs_.at(id);
      if (run.owner.sweep != event.sweep || ended(run.state) || hand_over(run, /*also_to_paused=*/false)) continue;
      if (run.state == RunState::kRunning && !event.let_running_finish) stop_all(run, "paused: " + event.reason);
    }
  }
}

absl::Status Scheduler::may_resume(SweepId id, const Limits& limits) const {
  if (!sweeps_.at(id).paused.has_value()) {
    return absl::FailedPreconditionError(fmt::format("sweep: sweep {} is not paused", id.value));
  }
  if (const std::string why = reached(spent(id), limits); !why.empty()) {
    return absl::FailedPreconditionError(why + "; raise the limit to go on");
  }
  return absl::OkStatus();
}

void Scheduler::on(const SweepResumed& event) {
  if (!may_resume(event.sweep, event.limits).ok()) return;
  Sweep& sweep = sweeps_.at(event.sweep);
  sweep.paused.reset();
  sweep.limits = event.limits;
  limited_.insert(event.sweep);
  sweeps_to_settle_.insert(event.sweep);
  reconsider(event.sweep);
}

}  // namespace scalelaw::server
