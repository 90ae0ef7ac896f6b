// The part of the scheduler that brings ready runs and free slots together.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "server/scheduling/scheduler.h"

namespace scalelaw::server {

namespace {
// Groups of runs for which slots may be taken from others in one pass: it must end soon.
constexpr int kPreemptionsAtOnce = 4;

/// Slots of one worker for `members` of a gang.
int slots_for(const Requirements& need, const Offer& offer) {
  return offer.places_gangs ? need.slots * need.workers : need.slots;
}

/// Slots that are free or soon will be.
int soon_free(const Scheduler::Worker& worker) {
  return worker.slots - worker.used + worker.stopping;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}
}  // namespace

bool fits(const Requirements& need, const Offer& offer) {
  if (slots_for(need, offer) > offer.slots || need.gpu_memory_bytes > offer.gpu_memory_bytes) return false;
  if (!need.gpu_model.empty() && lower(offer.gpu_model).find(need.gpu_model) == std::string::npos) return false;
  return std::all_of(need.labels.begin(), need.labels.end(), [&offer](const auto& wanted) {
    const auto found = offer.labels.find(wanted.first);
    return found != offer.labels.end() && found->second == wanted.second;
  });
}

// --- the queue ---

Scheduler::Rank Scheduler::rank(const Run& run) const {
  const double sign = sweeps_.at(run.owner.sweep).order == Order::kCheapestFirst ? 1 : -1;
  return {run.owner.sweep, -stage(run.owner).height, run.plan.size.kind, sign * run.plan.size.amount, run.plan.id};
}

void Scheduler::enqueue(Run& run) {
  if (run.not_before > now_) {
    delayed_.insert({run.not_before, run.plan.id});
  } else {
    requeue_group({run.owner.sweep, run.plan.requirements, run.avoid}, rank(run), /*queued=*/true);
    may_place_ = true;
  }
}

void Scheduler::dequeue(Run& run) {
  if (delayed_.erase({run.not_before, run.plan.id}) > 0) return;
  requeue_group({run.owner.sweep, run.plan.requirements, run.avoid}, rank(run), /*queued=*/false);
}

// Adds a run to its group or takes it out, and keeps the group's first one among the heads.
void Scheduler::requeue_group(const Group& key, const Rank& rank, bool queued) {
  const Sweep& sweep = sweeps_.at(key.sweep);
  Heads& heads = heads_[sweep.priority][sweep.owner];
  const auto entry = ready_.try_emplace(key).first;
  std::set<Rank>& ranks = entry->second.ranks;
  if (!ranks.empty()) heads.erase({*ranks.begin(), &*entry});
  if (queued) {
    ranks.insert(rank);
    entry->second.may_preempt = may_preempt_ = true;
  } else {
    ranks.erase(rank);
  }
  if (ranks.empty()) {
    ready_.erase(entry);
  } else {
    heads.insert({*ranks.begin(), &*entry});
  }
}

// For what a sweep has queued, slots may be taken from others that could not be before; no sweep: for all of them.
void Scheduler::reconsider(std::optional<SweepId> sweep) {
  for (auto entry = sweep ? ready_.lower_bound({*sweep, {}, {}}) : ready_.begin(); entry != ready_.end(); ++entry) {
    if (sweep && entry->first.sweep != *sweep) break;
    entry->second.may_preempt = may_preempt_ = true;
  }
  may_place_ = true;
}

void Scheduler::reconsider_preemptors() {
  for (const Group& group : std::exchange(preemptors_, {})) {
    const auto entry = ready_.find(group);
    if (entry != ready_.end()) entry->second.may_preempt = may_preempt_ = true;
  }
  may_place_ = true;
}

void Scheduler::release_delayed() {
  while (!delayed_.empty() && delayed_.begin()->first <= now_) {
    Run& run = runs_.at(delayed_.begin()->second);
    delayed_.erase(delayed_.begin());
    enqueue(run);
  }
}

// --- who is next ---

// Takes the best run of all groups again and again. A group whose best run cannot start now has no other that could, so
// a pass costs time for what it starts and for the groups that it finds blocked, however many runs are queued; and it
// ends when nothing is left to give.
void Scheduler::place() {
  if (!std::exchange(may_place_, false)) return;
  Holds holds;
  preemptions_left_ = kPreemptionsAtOnce;
  for (auto& [priority, owners] : heads_) {
    if (!start_or_hold(priority, owners, holds)) break;
  }
  if (preemptions_left_ > 0) may_preempt_ = false;
  // The rest looks when something happens next.
  may_place_ = may_preempt_;
  for (auto level = heads_.begin(); level != heads_.end();) {
    std::erase_if(level->second, [](const auto& owner) { return owner.second.empty(); });
    level = level->second.empty() ? heads_.erase(level) : std::next(level);
  }
}

/// False when nothing is left for smaller priorities.
bool Scheduler::start_or_hold(int priority, const std::map<std::string, Heads>& owners, Holds& holds) {
  struct Turn {
    const std::string* owner;
    const Heads* heads;
    /// What comes after it has not been looked at.
    std::optional<Heads::value_type> last;
    /// One run per owner is kept slots for: it is the next of his to start, and then another is.
    bool holds = false;
  };
  std::vector<Turn> turns;
  for (const auto& [owner, heads] : owners) turns.push_back({&owner, &heads, std::nullopt, false});
  for (;;) {
    const bool may_preempt =
        may_preempt_ && preemptions_left_ > 0 && !takeable_.empty() && takeable_.begin()->first < priority;
    if (!may_preempt && !any_to_give(holds)) return false;
    Turn* turn = nullptr;
    std::pair<double, Heads::value_type> first;
    for (Turn& candidate : turns) {
      const auto head = candidate.last ? candidate.heads->upper_bound(*candidate.last) : candidate.heads->begin();
      if (head == candidate.heads->end()) continue;
      const std::pair<double, Heads::value_type> key{share(*candidate.owner), *head};
      if (turn != nullptr && first <= key) continue;
      turn = &candidate;
      first = key;
    }
    if (turn == nullptr) return true;
    const Rank& rank = first.second.first;
    const Group& group = first.second.second->first;
    if (may_start(group)) {
      if (const std::vector<Seat> found = seats(group, runs_.at(rank.run).last, holds); !found.empty()) {
        assign(runs_.at(rank.run), found);
        continue;
      }
      const bool large = group.need.slots > 1 || group.need.workers > 1;
      if (may_preempt && std::exchange(first.second.second->second.may_preempt, false) &&
          preempt_for(group, priority, holds)) {
        turn->holds = true;
      } else if (large && !turn->holds) {
        hold_closest(group, holds);
        turn->holds = true;
      } else if (may_preempt && !large &&
                 std::find(preemptors_.begin(), preemptors_.end(), group) != preemptors_.end()) {
        hold_what_stops(group, holds);
      }
    }
    turn->last = first.second;
  }
}

bool Scheduler::any_to_give(const Holds& holds) const {
  return std::any_of(free_.begin(), free_.end(), [&holds, this](const auto& place) {
    return unheld(place.second, workers_.at(place.second), holds) > 0;
  });
}

bool Scheduler::may_start(const Group& group, int more) const {
  const Sweep& sweep = sweeps_.at(group.sweep);
  if (sweep.paused.has_value()) return false;
  return sweep.max_parallel == 0 || sweep.running + more < sweep.max_parallel;
}

// Slots in use for the weight of the owner.
double Scheduler::share(const std::string& owner) const {
  const auto used = used_by_.find(owner);
  const auto weight = settings_.shares.find(owner);
  return (used == used_by_.end() ? 0 : used->second) / (weight == settings_.shares.end() ? 1.0 : weight->second);
}

void Scheduler::assign(Run& run, const std::vector<Seat>& seats) {
  ++run.attempts;
  const SweepId sweep_id = run.owner.sweep;
  Sweep& sweep = sweeps_.at(sweep_id);
  for (size_t rank = 0; rank < seats.size(); ++rank) {
    const auto [worker_id, slots] = seats[rank];
    const AttemptId id{++last_attempt_.value};
    attempts_[id] = {run.plan.id, worker_id, AttemptState::kAssigned, slots, sweep_id, sweep.priority, std::nullopt};
    Worker& worker = workers_.at(worker_id);
    worker.attempts.insert(id);
    take(worker_id, worker, slots);
    charge(sweep, slots);
    offer(worker_id, sweep.priority, slots);
    run.current.push_back(id);
    decisions_.assignments.push_back(
        {id, run.plan.id, run.attempts, worker_id, static_cast<int>(rank), slots, sweep_id});
  }
  run.last = seats.front().worker;
  move(run, RunState::kRunning, "");
}

void Scheduler::take(WorkerId id, Worker& worker, int slots) {
  worker.used += slots;
  free_.erase({worker.listed, id});
  worker.listed = worker.state == WorkerState::kReady ? worker.slots - worker.used : 0;
  if (worker.listed > 0) free_.insert({worker.listed, id});
  may_place_ = true;
}

void Scheduler::offer(WorkerId id, int priority, int slots) {
  std::map<WorkerId, int>& level = takeable_[priority];
  if ((level[id] += slots) == 0) level.erase(id);
  if (level.empty()) takeable_.erase(priority);
}

void Scheduler::stopping(WorkerId id, Worker& worker, int slots) {
  worker.stopping += slots;
  worker.stopping > 0 ? (void)stopping_.insert(id) : (void)stopping_.erase(id);
}

// --- where ---

bool Scheduler::suits(WorkerId id, const Worker& worker, const Group& group, bool avoid) const {
  return worker.state == WorkerState::kReady && !(avoid && group.avoid == id) && fits(group.need, worker);
}

/// Those that could do it, whatever their state; remembered until a worker changes what it offers.
const std::vector<WorkerId>& Scheduler::fitting(const Requirements& need) {
  const auto [entry, fresh] = fitting_.try_emplace(need);
  if (fresh) {
    for (const auto& [id, worker] : workers_) {
      if (fits(need, worker)) entry->second.push_back(id);
    }
  }
  return entry->second;
}

/// The group's runs need not go where they failed.
bool Scheduler::avoidable(const Group& group) {
  if (!group.avoid.has_value()) return false;
  int others = 0;
  for (const WorkerId id : fitting(group.need)) {
    const Worker& worker = workers_.at(id);
    if (worker.state != WorkerState::kReady || id == *group.avoid) continue;
    others += worker.places_gangs ? group.need.workers : 1;
    if (others >= group.need.workers) return true;
  }
  return false;
}

/// What the worker may give without touching what is held there; negative where the held slots are not free yet.
int Scheduler::unheld(WorkerId id, const Worker& worker, const Holds& holds) const {
  const auto held = holds.find(id);
  return soon_free(worker) - (held == holds.end() ? 0 : held->second);
}

// Where it was before, or the workers that have least to spare, so that large gaps stay for runs that need them.
std::vector<Scheduler::Seat> Scheduler::seats(const Group& group, std::optional<WorkerId> last, const Holds& holds) {
  const bool avoid = avoidable(group);
  if (last.has_value() && group.need.workers == 1) {
    const Worker& worker = workers_.at(*last);
    const int room = std::min(worker.listed, unheld(*last, worker, holds));
    if (room >= group.need.slots && suits(*last, worker, group, avoid)) return {{*last, group.need.slots}};
  }
  std::vector<Seat> found;
  for (auto place = free_.lower_bound({group.need.slots, WorkerId{}}); place != free_.end(); ++place) {
    const auto [free, id] = *place;
    const Worker& worker = workers_.at(id);
    const int slots = slots_for(group.need, worker);
    if (std::min(free, unheld(id, worker, holds)) < slots || !suits(id, worker, group, avoid)) continue;
    if (worker.places_gangs) return {{id, slots}};
    found.push_back({id, slots});
    if (std::ssize(found) == group.need.workers) return found;
  }
  return {};
}

/// Slots of runs of smaller priority that have not been asked to stop.
int Scheduler::takeable(WorkerId id, int priority) const {
  int slots = 0;
  for (auto level = takeable_.begin(); level != takeable_.end() && level->first < priority; ++level) {
    const auto found = level->second.find(id);
    if (found != level->second.end()) slots += found->second;
  }
  return slots;
}

// The workers on which a run of the group could start once they have what they lack, in no order. With a priority: only
// where that can be taken from smaller ones.
std::vector<Scheduler::Lack> Scheduler::lacking(const Group& group, std::optional<int> priority, const Holds& holds) {
  const bool avoid = avoidable(group);
  const std::vector<WorkerId>& fit = fitting(group.need);
  std::vector<Lack> all;
  const auto look = [&](WorkerId id) {
    const Worker& worker = workers_.at(id);
    if (worker.state != WorkerState::kReady || (avoid && id == *group.avoid)) return;
    const int lack = slots_for(group.need, worker) - unheld(id, worker, holds);
    if (!priority.has_value() || lack <= takeable(id, *priority)) all.push_back({lack, id});
  };
  if (!priority.has_value() || group.need.workers > 1) {
    std::for_each(fit.begin(), fit.end(), look);
    return all;
  }
  // Where enough is free it would have started: only those count where something stops, or could be stopped.
  std::vector<WorkerId> some(stopping_.begin(), stopping_.end());
  for (auto level = takeable_.begin(); level != takeable_.end() && level->first < *priority; ++level) {
    for (const auto& [id, slots] : level->second) some.push_back(id);
  }
  std::sort(some.begin(), some.end());
  some.erase(std::unique(some.begin(), some.end()), some.end());
  for (const WorkerId id : some) {
    if (std::binary_search(fit.begin(), fit.end(), id)) look(id);
  }
  return all;
}

/// Those that lack least and can hold a whole run between them; empty if they cannot.
std::vector<WorkerId> Scheduler::enough_for(const Group& group, std::vector<Lack> workers) const {
  const auto most = std::min(std::ssize(workers), static_cast<std::ptrdiff_t>(group.need.workers));
  std::partial_sort(workers.begin(), workers.begin() + most, workers.end());
  std::vector<WorkerId> chosen;
  for (const auto& [lack, id] : workers) {
    if (workers_.at(id).places_gangs) return {id};
    chosen.push_back(id);
    if (std::ssize(chosen) == group.need.workers) return chosen;
  }
  return {};
}

void Scheduler::hold_closest(const Group& group, Holds& holds) {
  for (const WorkerId id : enough_for(group, lacking(group, std::nullopt, holds))) {
    holds[id] += slots_for(group.need, workers_.at(id));
  }
}

// What stops may have been stopped for these runs: whoever comes after them has to take something else.
void Scheduler::hold_what_stops(const Group& group, Holds& holds) {
  const std::vector<WorkerId>& fit = fitting(group.need);
  const int wanted = static_cast<int>(ready_.at(group).ranks.size());
  int held = 0;
  for (const WorkerId id : stopping_) {
    if (!std::binary_search(fit.begin(), fit.end(), id)) continue;
    for (; held < wanted && may_start(group, held) && unheld(id, workers_.at(id), holds) > 0; ++held) ++holds[id];
  }
}

// Makes runs of smaller priority stop, and keeps what they leave. True where that lets a run of the group start.
bool Scheduler::preempt_for(const Group& group, int priority, Holds& holds) {
  --preemptions_left_;
  const std::string reason = fmt::format("preempted by sweep {} of priority {}", group.sweep.value, priority);
  std::vector<Lack> workers = lacking(group, priority, holds);
  if (group.need.workers > 1) {
    const std::vector<WorkerId> chosen = enough_for(group, std::move(workers));
    for (const WorkerId id : chosen) make_room(id, slots_for(group.need, workers_.at(id)), priority, reason, holds);
    if (!chosen.empty()) preemptors_.push_back(group);
    return !chosen.empty();
  }
  std::sort(workers.begin(), workers.end());
  const int wanted = static_cast<int>(ready_.at(group).ranks.size());
  int served = 0;
  for (const auto& [lack, id] : workers) {
    const Worker& worker = workers_.at(id);
    while (served < wanted && may_start(group, served) &&
           group.need.slots - unheld(id, worker, holds) <= takeable(id, priority)) {
      make_room(id, group.need.slots, priority, reason, holds);
      ++served;
    }
  }
  if (served > 0) preemptors_.push_back(group);
  return served > 0;
}

// Of the smallest priorities, and of those the newest attempts: they have least to lose.
void Scheduler::make_room(WorkerId id, int slots, int priority, const std::string& reason, Holds& holds) {
  const Worker& worker = workers_.at(id);
  std::vector<std::pair<int, int64_t>> victims;
  for (const AttemptId attempt : worker.attempts) victims.emplace_back(attempts_.at(attempt).priority, -attempt.value);
  std::sort(victims.begin(), victims.end());
  for (const auto& [of, negative_id] : victims) {
    if (of >= priority || unheld(id, worker, holds) >= slots) break;
    const Attempt& victim = attempts_.at(AttemptId{-negative_id});
    if (!victim.stop.has_value()) stop_all(runs_.at(victim.run), reason);
  }
  holds[id] += slots;
}

std::string placement_obstacle(const Requirements& need, const std::map<WorkerId, Scheduler::Worker>& workers) {
  int connected = 0;
  int drained = 0;
  int suitable = 0;
  for (const auto& [id, worker] : workers) {
    if (worker.state == WorkerState::kDraining) ++drained;
    if (worker.state != WorkerState::kReady) continue;
    ++connected;
    if (fits(need, worker)) suitable += worker.places_gangs ? need.workers : 1;
  }
  if (suitable >= need.workers) return "";
  const std::string draining = drained == 0 ? "" : fmt::format(" ({} draining, see `scalelaw workers`)", drained);
  if (connected == 0) {
    return drained > 0 ? "no worker takes new runs" + draining
                       : "no worker is connected: start one with `scalelaw-worker --server ADDRESS`";
  }
  std::string what = fmt::format("{} slot{}", need.slots, need.slots == 1 ? "" : "s");
  if (!need.gpu_model.empty()) what += fmt::format(", GPU {}", need.gpu_model);
  if (need.gpu_memory_bytes > 0) {
    what += fmt::format(", {:.4g} GiB per GPU", static_cast<double>(need.gpu_memory_bytes) / (1 << 30));
  }
  for (const auto& [label, value] : need.labels) what += fmt::format(", {}={}", label, value);
  if (suitable == 0) return fmt::format("no connected worker has {}{}", what, draining);
  return fmt::format("{} of the {} workers that it needs have {}{}", suitable, need.workers, what, draining);
}

}  // namespace scalelaw::server
