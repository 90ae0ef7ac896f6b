#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>

#include "worker/executor/supervisor.h"
#include "worker/worker.h"

namespace {

using scalelaw::worker::Worker;
using scalelaw::worker::WorkerOptions;

constexpr const char* kDescription =
    "Runs trainers for a scalelaw coordinator: takes attempts, starts them as processes of this machine, delivers what "
    "they report. Trainers go on while the coordinator is away, and while this program restarts.";
constexpr const char* kExample =
    "Example:\n"
    "  scalelaw-worker --server 127.0.0.1:7070 --work-dir /var/lib/scalelaw/worker --slots 2 --label gpu=a100\n\n"
    "SIGTERM drains: trainers save a checkpoint, results are delivered, then it ends. A second SIGTERM kills them.";

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<long>(seconds * 1000));
}

// Signals are waited for on a thread of their own; all other threads have them blocked.
sigset_t block_termination() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

void drain_on_signals(Worker& worker, sigset_t set) {
  std::thread([&worker, set] {
    int signal = 0;
    for (int count = 0; ::sigwait(&set, &signal) == 0; ++count) count == 0 ? worker.drain() : worker.kill();
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "supervise") return scalelaw::worker::supervise(argv[2]);

  WorkerOptions options;
  std::vector<std::string> labels;
  double grace = 30;
  double orphan_lease = 120;
  double connect_timeout = 0;
  CLI::App app{kDescription, "scalelaw-worker"};
  app.footer(kExample);
  app.set_version_flag("--version", SCALELAW_VERSION);
  app.add_option("--server", options.server, "The coordinator, host:port")->required();
  app.add_option("--work-dir", options.work_dir, "Where runs are kept; one directory per worker")->required();
  app.add_option("--checkpoints", options.checkpoints,
                 "A directory that all workers share: runs keep their checkpoints there and resume on any of them; "
                 "default: in --work-dir, and a run that has to go elsewhere begins again");
  app.add_option("--slots", options.slots, "Runs at once; default: the GPUs, else the CPU cores")
      ->check(CLI::Range(1, 4096));
  app.add_option("--label", labels, "k=v, for sweeps that ask for it; repeatable")->check([](const std::string& label) {
    const std::size_t equals = label.find('=');
    return equals == std::string::npos || equals == 0 ? "a label is k=v" : "";
  });
  app.add_option("--name", options.name, "What people see; default: the host's name");
  app.add_option("--grace", grace, "Seconds between SIGTERM and SIGKILL of a trainer")->capture_default_str();
  app.add_option("--orphan-lease", orphan_lease, "Stop trainers when the worker has been dead for so many seconds")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
  app.add_option("--connect-timeout", connect_timeout, "Give up after so many seconds without a coordinator")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  for (const std::string& label : labels) {
    const std::size_t equals = label.find('=');
    options.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  // Trainers run in directories of their own.
  if (!options.checkpoints.empty()) options.checkpoints = std::filesystem::absolute(options.checkpoints);
  options.grace = milliseconds(grace);
  options.orphan_lease = milliseconds(orphan_lease);
  if (connect_timeout > 0) options.connect_timeout = milliseconds(connect_timeout);
  options.program = std::filesystem::read_symlink("/proc/self/exe");

  spdlog::set_default_logger(spdlog::stderr_color_mt("worker"));
  ::signal(SIGPIPE, SIG_IGN);
  const sigset_t termination = block_termination();
  auto worker = Worker::open(std::move(options));
  if (!worker.ok()) {
    fmt::print(stderr, "scalelaw-worker: {}\n", std::string(worker.status().message()));
    return 1;
  }
  drain_on_signals(**worker, termination);
  const absl::Status result = (*worker)->run();
  if (result.ok()) return 0;
  fmt::print(stderr, "scalelaw-worker: {}\n", std::string(result.message()));
  return 1;
}
