// What idle workers cost: SESSIONS workers keep a session each and send a heartbeat every five seconds, as the server
// asks. Then each of them is given a run, and ends it. Usage: worker_sessions [SESSIONS [SECONDS]]
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "bench/server/played_worker.h"
#include "bench/server/server_process.h"

int main(int argc, char** argv) {
  using namespace scalelaw;
  using Clock = std::chrono::steady_clock;
  const int sessions = argc > 1 ? std::atoi(argv[1]) : 1000;
  const int seconds = argc > 2 ? std::atoi(argv[2]) : 20;
  constexpr int kHeartbeatSeconds = 5;

  bench::ServerProcess server;
  server.start();
  // Streams share connections, as many as a connection takes.
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  std::vector<std::unique_ptr<bench::PlayedWorker>> workers;
  const auto opening = Clock::now();
  for (int i = 0; i < sessions; ++i) {
    if (i % 50 == 0) {
      grpc::ChannelArguments own;
      own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      channels.push_back(grpc::CreateCustomChannel(server.address, grpc::InsecureChannelCredentials(), own));
    }
    workers.push_back(std::make_unique<bench::PlayedWorker>(channels.back(), fmt::format("worker-{}", i), 1));
  }
  const double opened = std::chrono::duration<double>(Clock::now() - opening).count();

  const double cpu_before = server.cpu_seconds();
  const auto start = Clock::now();
  for (int round = 0; round * kHeartbeatSeconds < seconds; ++round) {
    for (int i = 0; i < sessions; ++i) {
      workers[static_cast<size_t>(i)]->heartbeat();
      const double due = kHeartbeatSeconds * (round + static_cast<double>(i + 1) / sessions);
      std::this_thread::sleep_until(start +
                                    std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(due)));
    }
  }
  const double idle = server.cpu_seconds() - cpu_before;
  const double passed = std::chrono::duration<double>(Clock::now() - start).count();
  const double memory = server.memory_mib();

  const auto working = Clock::now();
  const grpc::Status submitted = bench::submit(bench::connect(server.address), sessions);
  std::atomic<int> given{0};
  for (auto& worker : workers) {
    const v1::CoordinatorMessage message = worker->next();
    if (!message.has_assign()) continue;
    ++given;
    worker->update(message.assign().attempt_id(), v1::ATTEMPT_STATE_RUNNING);
    worker->update(message.assign().attempt_id(), v1::ATTEMPT_STATE_SUCCEEDED);
  }
  int ended = 0;
  for (auto& worker : workers) ended += worker->next().has_update_ack() ? 1 : 0;
  const double worked = std::chrono::duration<double>(Clock::now() - working).count();

  fmt::print("{} sessions opened in {:.1f} s; server at {:.0f} MiB\n", sessions, opened, memory);
  fmt::print(
      "idle for {:.0f} s with a heartbeat every {} s: {:.3f} ms of CPU per worker and second ({:.1f} % of a core)\n",
      passed, kHeartbeatSeconds, idle / passed / sessions * 1000, 100 * idle / passed);
  fmt::print("{} runs given out, run and ended within {:.2f} s of their submission\n", ended, worked);
  return submitted.ok() && given == sessions && ended == sessions ? 0 : 1;
}
