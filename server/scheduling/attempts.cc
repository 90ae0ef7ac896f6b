// The part of the scheduler that decides what the end of an attempt means for its run and for its worker.
#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "server/scheduling/scheduler.h"

namespace scalelaw::server {

namespace {
constexpr std::chrono::milliseconds kLongestBackoff{10 * 60 * 1000};
// Runs with which one must be compared before it is found hopeless.
constexpr size_t kFewestOthers = 3;

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return values.size() % 2 == 1 ? *middle : (*middle + *std::max_element(values.begin(), middle)) / 2;
}

std::chrono::milliseconds backoff(const RetryPolicy& policy, int failures) {
  const int doublings = std::clamp(failures - 1, 0, 30);
  return std::min(kLongestBackoff, policy.backoff * (int64_t{1} << doublings));
}
}  // namespace

void Scheduler::on(const AttemptReported& event) {
  const auto found = attempts_.find(event.attempt);
  if (found == attempts_.end()) return;
  Run& run = runs_.at(found->second.run);
  sweeps_.at(run.owner.sweep).flops += event.flops - run.flops;
  run.flops = event.flops;
  if (event.lowest.has_value() && !run.given_up.has_value()) give_up_if_hopeless(run, event);
}

void Scheduler::give_up_if_hopeless(Run& run, const AttemptReported& report) {
  const StagePlan& plan = stage(run.owner).plan;
  const EarlyStopping& rule = plan.early_stopping;
  run.best = std::min(*report.lowest, run.best.value_or(*report.lowest));
  if (rule.above.has_value() && report.highest.value_or(*report.lowest) > *rule.above) {
    run.given_up = GivenUp{fmt::format("diverged: {} {:.4g} is above {:.4g}", rule.metric,
                                       report.highest.value_or(*report.lowest), *rule.above),
                           true};
  } else if (rule.worse_than_median_after.has_value() && !run.compared.has_value() &&
             report.share >= *rule.worse_than_median_after) {
    run.compared = run.best;
    std::vector<double> others;
    for (const RunId id : plan.runs) {
      const Run& other = runs_.at(id);
      if (id != run.plan.id && other.plan.size == run.plan.size && other.compared) others.push_back(*other.compared);
    }
    if (others.size() >= kFewestOthers && *run.compared > median(others)) {
      run.given_up = GivenUp{
          fmt::format("stopped early: {} {:.4g} is worse than {:.4g}, the median of {} runs at {:.0f} % "
                      "of this budget",
                      rule.metric, *run.compared, median(others), others.size(), 100 * *rule.worse_than_median_after),
          false};
    }
  }
  if (run.given_up.has_value()) stop_all(run, run.given_up->reason);
}

void Scheduler::end(AttemptId id, const AttemptEnded& how) {
  Attempt attempt = attempts_.at(id);
  if (absl::Status status = transition(attempt.state, how.outcome); !status.ok()) {
    throw std::logic_error(std::string(status.message()));
  }
  attempts_.erase(id);
  decisions_.attempts.push_back({id, how.outcome, how.exit_code, how.reason});
  Worker& worker = workers_.at(attempt.worker);
  worker.attempts.erase(id);
  if (attempt.stop.has_value()) {
    stopping(attempt.worker, worker, -attempt.slots);
    // Whoever gets the slots now, it need not be the one for whom they were taken.
    reconsider_preemptors();
  } else {
    offer(attempt.worker, attempt.priority, -attempt.slots);
  }
  take(attempt.worker, worker, -attempt.slots);
  charge(sweeps_.at(attempt.sweep), -attempt.slots);
  Run& run = runs_.at(attempt.run);
  std::erase(run.current, id);
  judge(attempt.worker, run, how);
  if (how.outcome != AttemptState::kSucceeded && !run.verdict.has_value()) {
    run.verdict = Verdict{how, attempt.stop};
    stop_all(run, "another member of its gang has ended: " + how.reason);
  }
  // A gang is over when its last member is.
  if (run.current.empty()) finish_run(run, run.verdict.value_or(Verdict{how, attempt.stop}), attempt.worker);
}

void Scheduler::finish_run(Run& run, const Verdict& verdict, WorkerId worker) {
  const AttemptEnded how = verdict.how;
  const std::optional<std::string> stop = verdict.stop;
  run.verdict.reset();
  const std::optional<GivenUp> given_up = std::exchange(run.given_up, std::nullopt);
  if (how.outcome == AttemptState::kSucceeded) {
    move(run, RunState::kSucceeded, "");
  } else if (!wanted(run)) {
    move(run, RunState::kCancelled, "the sweep was cancelled");
  } else if (given_up.has_value()) {
    run.stopped_early = !given_up->failed;
    move(run, given_up->failed ? RunState::kFailed : RunState::kCancelled, given_up->reason);
  } else if (how.outcome == AttemptState::kLost) {
    requeue(run, std::chrono::milliseconds(0), how.reason);
  } else if (how.outcome != AttemptState::kFailed) {
    // Interrupted. Asked to stop: at once, elsewhere. By itself: not in a tight loop.
    const bool asked = stop.has_value() || workers_.at(worker).state != WorkerState::kReady;
    requeue(run, asked ? std::chrono::milliseconds(0) : run.plan.retries.backoff,
            stop.value_or("interrupted after a checkpoint"));
  } else if (how.permanent) {
    move(run, RunState::kFailed, how.reason);
  } else if (how.infrastructure) {
    run.avoid = worker;
    requeue(run, kInfrastructurePause, how.reason);
  } else if (++run.failures > run.plan.retries.max) {
    move(run, RunState::kFailed,
         run.failures > 1 ? fmt::format("{} (tried {} times)", how.reason, run.failures) : how.reason);
  } else {
    // Once more where its checkpoint is; then the worker may be to blame.
    if (run.failures > 1) run.avoid = worker;
    requeue(run, backoff(run.plan.retries, run.failures),
            fmt::format("retry {} of {} after: {}", run.failures, run.plan.retries.max, how.reason));
  }
}

// A trainer's failure is held against its worker only when the same run succeeds on another: the run may be at fault.
void Scheduler::judge(WorkerId worker, Run& run, const AttemptEnded& how) {
  if (how.outcome == AttemptState::kSucceeded) {
    workers_.at(worker).faults = 0;
    run.failed_on.erase(worker);
    for (const WorkerId other : run.failed_on) {
      add_fault(other, fmt::format("run {} failed here and succeeded elsewhere", run.plan.id.value));
    }
    run.failed_on.clear();
  } else if (how.outcome == AttemptState::kFailed && how.infrastructure) {
    add_fault(worker, how.reason);
  } else if (how.outcome == AttemptState::kFailed && !how.permanent) {
    run.failed_on.insert(worker);
  }
}

void Scheduler::add_fault(WorkerId id, const std::string& reason) {
  Worker& worker = workers_.at(id);
  if (++worker.faults < settings_.faults_to_drain || worker.state != WorkerState::kReady) return;
  // The last one goes on trying: there is nobody to leave its runs to.
  const bool others = std::any_of(workers_.begin(), workers_.end(), [id](const auto& entry) {
    return entry.first != id && entry.second.state == WorkerState::kReady;
  });
  if (!others) return;
  worker.drain_reason = fmt::format("{} failures without a success between them, the last: {}", worker.faults, reason);
  set_worker_state(id, worker, WorkerState::kDraining);
}

void Scheduler::requeue(Run& run, std::chrono::milliseconds delay, std::string reason) {
  run.not_before = now_ + delay;
  move(run, RunState::kQueued, std::move(reason));
}

void Scheduler::request_stop(AttemptId id, const std::string& reason) {
  Attempt& attempt = attempts_.at(id);
  if (attempt.stop.has_value()) return;
  attempt.stop = reason;
  stopping(attempt.worker, workers_.at(attempt.worker), attempt.slots);
  offer(attempt.worker, attempt.priority, -attempt.slots);
  decisions_.stops.push_back({id, attempt.worker, reason});
}

void Scheduler::stop_all(const Run& run, const std::string& reason) {
  for (const AttemptId id : run.current) request_stop(id, reason);
}

}  // namespace scalelaw::server
