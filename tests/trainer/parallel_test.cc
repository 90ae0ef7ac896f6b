// Several real processes that train one model, found by torchrun's variables.
#include <csignal>
#include <future>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trainer_process.h"

namespace scalelaw::trainer {
namespace {

using nlohmann::json;
using Until = std::function<bool(const std::vector<json>&)>;

json small_run(json params = json::object(), int64_t steps = 30) {
  json all = {{"width", 16}, {"depth", 1}, {"heads", 1}, {"batch", 16}, {"metrics_every", 3}, {"unique_images", 500}};
  all.update(params);
  return {{"params", all}, {"budget", {{"steps", steps}}}, {"seed", 3}};
}

int free_port() {
  int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(listener);
  return ntohs(address.sin_port);
}

// Two processes, each in a directory of its own, as on two machines.
class Pair {
 public:
  explicit Pair(const json& spec) : leader(spec), other(spec) {}

  void run(const std::string& family, const Until& until = {}, int signal_to_other = 0) {
    const std::string group = "WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=" + std::to_string(free_port());
    auto second = std::async(std::launch::async, [&] {
      // It writes no events: the signal is sent when the leader's say so.
      Until seen = [&](const auto&) { return until(leader.events()); };
      return other.run(family, until ? seen : Until{}, signal_to_other, group + " RANK=1 LOCAL_RANK=1");
    });
    leader_ended = leader.run(family, {}, 0, group + " RANK=0 LOCAL_RANK=0");
    other_ended = second.get();
  }

  TrainerRun leader, other;
  Ended leader_ended, other_ended;
};

std::map<int64_t, json> curve(const TrainerRun& run) {
  std::map<int64_t, json> values;
  for (const json& event : run.events()) {
    if (event["event"] == "start") values.erase(values.upper_bound(event["step"]), values.end());
    if (event["event"] == "metrics") values[event["step"]] = event["values"];
  }
  return values;
}

bool reached(const std::vector<json>& events, int64_t step) {
  return std::any_of(events.begin(), events.end(),
                     [&](const json& e) { return e["event"] == "metrics" && e["step"] >= step; });
}

TEST(Parallel, TwoProcessesEqualOneWithTwiceTheBatchOfEach) {
  TrainerRun one(small_run({{"accumulate", 2}}));
  ASSERT_EQ(one.run("diffusion-dit").exit_code, 0);
  Pair two(small_run());
  two.run("diffusion-dit");
  ASSERT_EQ(two.leader_ended.exit_code, 0) << two.leader_ended.errors;
  ASSERT_EQ(two.other_ended.exit_code, 0) << two.other_ended.errors;
  EXPECT_EQ(curve(two.leader), curve(one));
  EXPECT_TRUE(two.other.events().empty());
}

TEST(Parallel, TwoProcessesEqualOneForUnetsAndRoutedCrossAttentionToo) {
  const json unet = {{"preset", "unet-c16-td0-1"}, {"batch", 8}, {"unique_images", 100}};
  const json routed = {{"preset", "pixart-w32-d2"}, {"mod_capacity", 0.5}, {"batch", 8}, {"unique_images", 100}};
  for (auto [family, params] : {std::pair{"diffusion-unet", unet}, std::pair{"diffusion-dit", routed}}) {
    json spec = {{"params", params}, {"budget", {{"steps", 5}}}, {"seed", 3}}, halves = spec;
    halves["params"]["accumulate"] = 2;
    TrainerRun one(halves);
    ASSERT_EQ(one.run(family).exit_code, 0);
    Pair two(spec);
    two.run(family);
    ASSERT_EQ(two.leader_ended.exit_code, 0) << two.leader_ended.errors;
    EXPECT_EQ(curve(two.leader), curve(one)) << family;
  }
}

TEST(Parallel, TerminatingOneStopsAllAndTheRunGoesOnAsIfNothingHadBeen) {
  const json spec = small_run(json::object(), 600);
  TrainerRun one(small_run({{"accumulate", 2}}, 600));
  ASSERT_EQ(one.run("diffusion-dit").exit_code, 0);
  Pair two(spec);
  two.run(
      "diffusion-dit", [](const auto& events) { return reached(events, 30); }, SIGTERM);
  ASSERT_EQ(two.leader_ended.exit_code, 75) << two.leader_ended.errors;
  ASSERT_EQ(two.other_ended.exit_code, 75) << two.other_ended.errors;
  two.run("diffusion-dit");
  ASSERT_EQ(two.leader_ended.exit_code, 0) << two.leader_ended.errors;
  EXPECT_GT(two.leader.events("start").back()["step"], 0);
  EXPECT_EQ(curve(two.leader), curve(one));
}

TEST(Parallel, AKilledProcessEndsTheOtherWithAMessage) {
  Pair two(small_run(json::object(), 100000));
  two.run(
      "diffusion-dit", [](const auto& events) { return reached(events, 3); }, SIGKILL);
  EXPECT_EQ(two.leader_ended.exit_code, 70);
  EXPECT_NE(two.leader_ended.errors.find("another process of this run is gone"), std::string::npos)
      << two.leader_ended.errors;
}

TEST(Parallel, CodebookRevivalsReachEveryProcess) {
  Pair two({{"params", {{"width", 8}, {"vocabulary", 8}, {"unique_images", 500}, {"batch", 16}}},
            {"budget", {{"steps", 40}}}});
  two.run("var-tokenizer");
  ASSERT_EQ(two.leader_ended.exit_code, 0) << two.leader_ended.errors;
  ASSERT_EQ(two.other_ended.exit_code, 0) << two.other_ended.errors;
  EXPECT_LT(two.leader.events("metrics").back()["values"]["val_loss"], 0.5);
}

TEST(Parallel, WhatCannotBeSharedOutNamesTheFieldOrTheVariable) {
  const std::vector<std::tuple<json, std::string, std::string>> cases = {
      {small_run(), "WORLD_SIZE=2", "RANK: missing"},
      {small_run(), "WORLD_SIZE=two", "WORLD_SIZE: must be a whole number"},
      {small_run({{"accumulate", 5}}), "", "batch: 16 does not split into 5 equal parts"},
      {small_run({{"accumulate", 3}}), "WORLD_SIZE=2 RANK=0 LOCAL_RANK=0 MASTER_ADDR=localhost MASTER_PORT=1",
       "accumulate: must be a multiple of the 2 processes"},
  };
  for (const auto& [spec, variables, message] : cases) {
    Ended ended = TrainerRun(spec).run("diffusion-dit", {}, 0, variables);
    EXPECT_EQ(ended.exit_code, 65);
    EXPECT_NE(ended.errors.find(message), std::string::npos) << ended.errors;
  }
}

TEST(Accumulation, OfHalvesEqualsTheWholeBatch) {
  auto losses = [](int64_t parts) {
    TrainerRun run(
        {{"params", {{"width", 8}, {"batch", 16}, {"unique_images", 500}, {"metrics_every", 1}, {"accumulate", parts}}},
         {"budget", {{"steps", 5}}}});
    EXPECT_EQ(run.run("var-tokenizer").exit_code, 0);
    return curve(run);
  };
  auto whole = losses(1), halves = losses(2);
  for (int64_t step = 1; step <= 5; ++step) {
    EXPECT_NEAR(halves[step]["loss"], whole[step]["loss"], 2e-3 * whole[step]["loss"].get<double>()) << step;
  }
}

}  // namespace
}  // namespace scalelaw::trainer
