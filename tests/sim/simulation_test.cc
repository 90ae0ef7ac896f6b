#include "tests/sim/simulation.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace scalelaw::server {
namespace {

// More for a campaign: SCALELAW_SIM_SEEDS=100000 sim_tests
uint64_t seeds(uint64_t usual) {
  const char* asked = std::getenv("SCALELAW_SIM_SEEDS");
  return asked != nullptr ? std::strtoull(asked, nullptr, 10) : usual;
}

void simulate(uint64_t count, SimulationSize size, SimulationOutcome& total) {
  for (uint64_t seed = 1; seed <= count; ++seed) {
    try {
      const SimulationOutcome outcome = Simulation(seed, size).run();
      total.events += outcome.events;
      total.attempts += outcome.attempts;
      total.lost += outcome.lost;
      total.restarts += outcome.restarts;
      for (const auto& [state, runs] : outcome.runs) total.runs[state] += runs;
    } catch (const std::exception& broken) {
      FAIL() << "seed " << seed << ": " << broken.what();
    }
  }
}

TEST(Simulation, EveryRunEndsAndNoneIsCompletedTwiceWhateverGoesWrong) {
  SimulationOutcome total;
  simulate(seeds(2000), {20, 3, 40}, total);
  // The seeds must really have met what they are meant to meet.
  EXPECT_GT(total.lost, 0);
  EXPECT_GT(total.restarts, 0);
  for (const RunState state : {RunState::kSucceeded, RunState::kFailed, RunState::kCancelled, RunState::kSkipped}) {
    EXPECT_GT(total.runs[state], 0) << name(state);
  }
  std::printf("%d events, %d attempts, %d lost, %d restarts of the server\n", total.events, total.attempts, total.lost,
              total.restarts);
}

TEST(Simulation, HundredsOfRunsOnManyWorkers) {
  SimulationOutcome total;
  simulate(seeds(20), {60, 4, 300}, total);
  EXPECT_GT(total.attempts, 0);
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
