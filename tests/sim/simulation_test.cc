#include "tests/sim/simulation.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace scalelaw::server {
namespace {

// More for a campaign: SCALELAW_SIM_SEEDS=100000 SCALELAW_SIM_FULL=1 sim_tests
uint64_t seeds(uint64_t usual) {
  const char* asked = std::getenv("SCALELAW_SIM_SEEDS");
  return asked != nullptr ? std::strtoull(asked, nullptr, 10) : usual;
}

void simulate(uint64_t first, uint64_t count, SimulationSize size, SimulationOutcome& total) {
  for (uint64_t seed = first; seed < first + count; ++seed) {
    try {
      total += Simulation(seed, size).run();
    } catch (const std::exception& broken) {
      FAIL() << "seed " << seed << ": " << broken.what();
    }
  }
  std::printf(
      "%lu scenarios: %d events, %d attempts, %d gangs, %d lost, %d preempted, %d limits reached, %d workers "
      "drained, %d restarts of the server\n",
      count, total.events, total.attempts, total.gangs, total.lost, total.preemptions, total.limits_reached,
      total.drained, total.restarts);
}

TEST(Simulation, EveryRunEndsAndNothingForbiddenHappensWhateverGoesWrong) {
  SimulationOutcome total;
  simulate(1, seeds(10'000), {.workers = 12, .sweeps = 3, .runs_per_stage = 40}, total);
  // The seeds must really have met what they are meant to meet.
  for (const int met : {total.lost, total.restarts, total.gangs, total.preemptions, total.limits_reached, total.drained,
                        total.stopped_early})
    EXPECT_GT(met, 0);
  for (const RunState state : {RunState::kSucceeded, RunState::kFailed, RunState::kCancelled, RunState::kSkipped}) {
    EXPECT_GT(total.runs[state], 0) << name(state);
  }
}

TEST(Simulation, HundredsOfRunsOnManyWorkers) {
  SimulationOutcome total;
  simulate(1, seeds(100), {.workers = 60, .sweeps = 4, .runs_per_stage = 300}, total);
  EXPECT_GT(total.attempts, 0);
}

TEST(Simulation, ThousandsOfRunsOnHundredsOfWorkers) {
  SimulationOutcome total;
  simulate(1, 2, {.workers = 300, .slots_per_worker = 8, .sweeps = 20, .runs_per_stage = 600, .priorities = false},
           total);
  EXPECT_GT(total.attempts, 0);
}

TEST(Simulation, AHundredThousandRunsOnAThousandWorkers) {
  if (std::getenv("SCALELAW_SIM_FULL") == nullptr) GTEST_SKIP() << "takes minutes: SCALELAW_SIM_FULL=1 sim_tests";
  SimulationOutcome total;
  simulate(1, 1, {.workers = 1000, .slots_per_worker = 8, .sweeps = 100, .runs_per_stage = 2500}, total);
  int runs = 0;
  for (const auto& [state, count] : total.runs) runs += count;
  EXPECT_GT(runs, 100'000);
}

TEST(Simulation, TheSameSeedTellsTheSameStory) {
  const SimulationOutcome once = Simulation(7, {}).run();
  const SimulationOutcome again = Simulation(7, {}).run();
  EXPECT_EQ(once.events, again.events);
  EXPECT_EQ(once.attempts, again.attempts);
  EXPECT_EQ(once.lost, again.lost);
}

}  // namespace
}  // namespace scalelaw::server
