// The part of the scheduler that brings ready runs and free slots together.
#include <algorithm>

#include <fmt/format.h>

#include "server/scheduling/scheduler.h"

namespace scalelaw::server {

namespace {
bool labels_match(const Requirements& need, const std::map<std::string, std::string>& labels) {
  return std::all_of(need.labels.begin(), need.labels.end(), [&labels](const auto& wanted) {
    const auto found = labels.find(wanted.first);
    return found != labels.end() && found->second == wanted.second;
  });
}

int free_slots(const Scheduler::Worker& worker) {
  return worker.state == WorkerState::kReady ? worker.slots - worker.used : 0;
}
}  // namespace

Scheduler::Rank Scheduler::rank(const Run& run) const {
  return {run.owner.sweep, -stage(run.owner).height, run.plan.size.kind, -run.plan.size.amount, run.plan.id};
}

void Scheduler::enqueue(Run& run) {
  if (run.not_before > now_) {
    delayed_.insert({run.not_before, run.plan.id});
  } else {
    ready_[{run.owner.sweep, run.plan.requirements}].insert(rank(run));
  }
}

void Scheduler::dequeue(Run& run) {
  if (delayed_.erase({run.not_before, run.plan.id}) > 0) return;
  const auto group = ready_.find({run.owner.sweep, run.plan.requirements});
  group->second.erase(rank(run));
  if (group->second.empty()) ready_.erase(group);
}

void Scheduler::release_delayed() {
  while (!delayed_.empty() && delayed_.begin()->first <= now_) {
    Run& run = runs_.at(delayed_.begin()->second);
    delayed_.erase(delayed_.begin());
    enqueue(run);
  }
}

// Takes the best-ranked run of all groups again and again. A group whose best run cannot start now has no other that
// could, so a pass costs time for what it starts and for the number of groups, however many runs are queued.
void Scheduler::place() {
  const bool any_free =
      std::any_of(workers_.begin(), workers_.end(), [](const auto& entry) { return free_slots(entry.second) > 0; });
  if (!any_free) return;
  std::set<std::pair<Rank, Group>> heads;
  for (const auto& [group, ranks] : ready_) heads.insert({*ranks.begin(), group});
  std::set<WorkerId> reserved;
  while (!heads.empty()) {
    const auto [best, group] = *heads.begin();
    heads.erase(heads.begin());
    const Sweep& sweep = sweeps_.at(group.first);
    if (sweep.max_parallel > 0 && sweep.running >= sweep.max_parallel) continue;
    const Requirements& need = group.second;
    const std::optional<WorkerId> worker = best_fit(need, reserved);
    if (!worker.has_value()) {
      if (need.slots > 1) {
        if (const std::optional<WorkerId> held = closest(need, reserved)) reserved.insert(*held);
      }
      continue;
    }
    assign(runs_.at(best.run), *worker);
    const auto rest = ready_.find(group);
    if (rest != ready_.end()) heads.insert({*rest->second.begin(), group});
  }
}

void Scheduler::assign(Run& run, WorkerId worker_id) {
  const AttemptId id{++last_attempt_.value};
  attempts_[id] = {run.plan.id, worker_id, AttemptState::kAssigned, false};
  Worker& worker = workers_.at(worker_id);
  worker.attempts.insert(id);
  worker.used += run.plan.requirements.slots;
  run.current = id;
  ++run.attempts;
  move(run, RunState::kRunning, "");
  decisions_.assignments.push_back({id, run.plan.id, run.attempts, worker_id});
}

// The worker that has least to spare, so that large gaps stay for runs that need them.
std::optional<WorkerId> Scheduler::best_fit(const Requirements& need, const std::set<WorkerId>& reserved) const {
  std::optional<WorkerId> best;
  int least_free = 0;
  for (const auto& [id, worker] : workers_) {
    const int free = free_slots(worker);
    if (free < need.slots || reserved.contains(id) || !labels_match(need, worker.labels)) continue;
    if (!best.has_value() || free < least_free) {
      best = id;
      least_free = free;
    }
  }
  return best;
}

// The worker to keep free for a run of several slots: the one that has most of them already.
std::optional<WorkerId> Scheduler::closest(const Requirements& need, const std::set<WorkerId>& reserved) const {
  std::optional<WorkerId> best;
  int most_free = 0;
  for (const auto& [id, worker] : workers_) {
    if (worker.state != WorkerState::kReady || worker.slots < need.slots || reserved.contains(id) ||
        !labels_match(need, worker.labels)) {
      continue;
    }
    if (!best.has_value() || free_slots(worker) > most_free) {
      best = id;
      most_free = free_slots(worker);
    }
  }
  return best;
}

std::string placement_obstacle(const Requirements& need, const std::map<WorkerId, Scheduler::Worker>& workers) {
  int connected = 0;
  for (const auto& [id, worker] : workers) {
    if (worker.state != WorkerState::kReady) continue;
    ++connected;
    if (worker.slots >= need.slots && labels_match(need, worker.labels)) return "";
  }
  if (connected == 0) return "no worker is connected: start one with `scalelaw-worker --server ADDRESS`";
  std::string what = fmt::format("{} slot{}", need.slots, need.slots == 1 ? "" : "s");
  for (const auto& [label, value] : need.labels) what += fmt::format(", {}={}", label, value);
  return fmt::format("no connected worker has {}", what);
}

}  // namespace scalelaw::server
