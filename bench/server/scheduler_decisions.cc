// What one decision costs with many queued runs: 1,000 workers of 8 slots, all busy, and RUNS queued; each event ends
// an attempt and so starts the next run. Usage: scheduler_decisions [RUNS [DECISIONS]]
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <vector>

#include <fmt/format.h>

#include "server/scheduling/scheduler.h"

int main(int argc, char** argv) {
  using namespace scalelaw::server;
  using namespace std::chrono_literals;
  using Clock = std::chrono::steady_clock;
  const int runs = argc > 1 ? std::atoi(argv[1]) : 100'000;
  const int decisions = argc > 2 ? std::atoi(argv[2]) : 50'000;
  constexpr int kWorkers = 1000, kSlots = 8, kSweeps = 20;

  Scheduler scheduler({30s, {{"owner-1", 2.0}}});
  Instant now = 1h;
  std::deque<AttemptId> running;
  const auto handle = [&](const Event& event) {
    const Decisions decided = scheduler.handle(event, now);
    for (const NewAttempt& attempt : decided.assignments) running.push_back(attempt.attempt);
  };
  for (int i = 1; i <= kWorkers; ++i) handle(WorkerJoined{WorkerId{i}, {kSlots, {{"gpu", "h100"}}}, {}});
  int run = 0;
  const auto submitting = Clock::now();
  for (int i = 1; i <= kSweeps; ++i) {
    SweepSubmitted event;
    event.sweep.id = SweepId{i};
    event.sweep.owner = fmt::format("owner-{}", i % 4);
    event.sweep.priority = i % 3;
    event.sweep.stages.push_back({"only", {}, {}});
    for (int j = 0; j < (runs + kWorkers * kSlots) / kSweeps; ++j) {
      RunPlan plan;
      plan.id = RunId{++run};
      if (j % 7 == 0) plan.requirements.slots = 2;
      if (j % 3 == 0) plan.requirements.labels = {{"gpu", "h100"}};
      plan.size = {BudgetKind::kFlops, static_cast<double>(j % 1000)};
      event.new_runs.push_back(plan);
      event.sweep.stages[0].runs.push_back(plan.id);
    }
    handle(event);
  }
  const double submitted = std::chrono::duration<double>(Clock::now() - submitting).count();
  const size_t queued = static_cast<size_t>(run) - scheduler.attempts().size();

  std::vector<double> microseconds;
  for (int i = 0; i < decisions && !running.empty(); ++i) {
    now += 1ms;
    const AttemptId ended = running.front();
    running.pop_front();
    // Preempted ones stop as they are told.
    if (!scheduler.live(ended)) continue;
    const AttemptState how =
        scheduler.attempts().at(ended).stop.has_value() ? AttemptState::kCancelled : AttemptState::kSucceeded;
    const auto start = Clock::now();
    handle(AttemptEnded{ended, how, 0, "", false});
    microseconds.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    if (i % 100 == 0) {
      for (int worker = 1; worker <= kWorkers; ++worker) handle(WorkerHeard{WorkerId{worker}});
    }
  }
  std::sort(microseconds.begin(), microseconds.end());
  const auto quantile = [&](double q) {
    return microseconds[static_cast<size_t>(q * static_cast<double>(microseconds.size() - 1))];
  };
  fmt::print("{} runs queued on {} slots, taken in within {:.2f} s\n", queued, kWorkers * kSlots, submitted);
  fmt::print("{} decisions: p50 {:.1f} µs, p99 {:.1f} µs (wanted: under 1000), p99.9 {:.1f} µs, worst {:.1f} µs\n",
             microseconds.size(), quantile(0.5), quantile(0.99), quantile(0.999), microseconds.back());
  return quantile(0.99) < 1000 ? 0 : 1;
}
