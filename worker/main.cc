#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>

#include "worker/executor/gang_member.h"
#include "worker/executor/local.h"
#include "worker/executor/slurm.h"
#include "worker/executor/supervisor.h"
#include "worker/worker.h"

namespace {

using namespace scalelaw::worker;

constexpr const char* kDescription =
    "Runs trainers for a scalelaw coordinator: takes attempts, starts them as processes of this machine or as jobs of "
    "a "
    "Slurm cluster, delivers what they report. Trainers go on while the coordinator is away, and while this program "
    "restarts.";
constexpr const char* kExample =
    "Examples:\n"
    "  scalelaw-worker --server 127.0.0.1:7070 --work-dir /var/lib/scalelaw/worker --slots 2 --label gpu=a100\n"
    "  scalelaw-worker --server 127.0.0.1:7070 --work-dir /shared/me/scalelaw --executor slurm --slots 32\n"
    "                  --partition gpu --gres gpu:h100:1 --cpus-per-slot 16 --time 8:00:00 --account vision\n\n"
    "SIGTERM and SIGINT drain: trainers save a checkpoint, results are delivered, then it ends; a second one kills.\n"
    "With --executor slurm SIGTERM leaves the jobs to the cluster, and the next start takes them up.";

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

// `leave`: SIGTERM is the restart of a worker whose jobs need it not.
void end_on_signals(Worker& worker, sigset_t set, bool leave) {
  std::thread([&worker, set, leave] {
    int signal = 0;
    for (int count = 0; ::sigwait(&set, &signal) == 0; ++count) {
      if (leave && signal == SIGTERM) {
        worker.halt();
      } else {
        count == 0 ? worker.drain() : worker.kill();
      }
    }
  }).detach();
}

std::string check_gres(const std::string& gres) {
  return std::string(times_slots(gres, 1).status().message());
}

void add_slurm_options(CLI::App& app, SlurmOptions& slurm, double& poll, double& gpu_memory_gib) {
  SlurmRequest& request = slurm.request;
  const auto add = [&app](const char* name, auto& variable, const char* help) {
    return app.add_option(name, variable, help)->group("With --executor slurm");
  };
  add("--partition", request.partition, "As for sbatch");
  add("--account", request.account, "As for sbatch");
  add("--qos", request.qos, "As for sbatch");
  add("--time", request.time_limit,
      "Time limit of a job, as for sbatch; trainers save a checkpoint ahead of it and resume");
  add("--gres", request.gres_per_slot,
      "Resources of a slot, such as gpu:h100:1; a run of 4 slots asks for 4 times as many")
      ->check(check_gres);
  add("--cpus-per-slot", request.cpus_per_slot, "CPUs of a slot")->check(CLI::Range(1, 4096))->capture_default_str();
  add("--mem-per-slot", request.memory_per_slot, "Memory of a slot, such as 32G")->check([](const std::string& memory) {
    const bool amount = !memory.empty() && memory.find_first_not_of("0123456789") >= memory.size() - 1 &&
                        memory[0] >= '1' && memory[0] <= '9' && memory.size() < 10 &&
                        std::string("0123456789KMGT").find(memory.back()) != std::string::npos;
    return amount ? "" : "an amount of memory is a number and K, M, G or T, such as 32G";
  });
  add("--gpu-memory-gib", gpu_memory_gib,
      "Memory of each GPU of --gres, for sweeps that ask for some: Slurm does not say")
      ->check(CLI::Range(1.0, 1e4));
  add("--sbatch-arg", request.extra, "One more word for sbatch, such as --sbatch-arg=--constraint=nvlink; repeatable")
      ->allow_extra_args(false);
  add("--slurm-poll", poll, "Seconds between looks at the queue (squeue)")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc == 3 ? argv[1] : "";
  if (verb == "supervise") return supervise(argv[2], Supervision::kUnderLease);
  if (verb == "supervise-job") return supervise(argv[2], Supervision::kClusterJob);
  if (verb == "gang-member") return run_gang_member(argv[2]);

  WorkerOptions options;
  int slots = 0;
  bool on_slurm = false;
  SlurmOptions slurm;
  scalelaw::client::SecurityOptions security;
  double slurm_poll = 10;
  double gpu_memory_gib = 0;
  std::vector<std::string> labels;
  std::vector<std::string> allowed;
  std::vector<std::string> limits;
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
  CLI::Option* slots_option = app.add_option("--slots", slots, "Runs at once; default: the GPUs, else the CPU cores")
                                  ->check(CLI::Range(1, 4096));
  app.add_option_function<std::string>(
         "--executor", [&](const std::string& kind) { on_slurm = kind == "slurm"; },
         "Where trainers run: local, or slurm (each attempt is a job)")
      ->check(CLI::IsMember({"local", "slurm"}))
      ->default_str("local");
  app.add_option("--label", labels, "k=v, for sweeps that ask for it; repeatable")->check([](const std::string& label) {
    const std::size_t equals = label.find('=');
    return equals == std::string::npos || equals == 0 ? "a label is k=v" : "";
  });
  app.add_option(
         "--allow-command", allowed,
         "Words that a command of a sweep may begin with, such as \"python3 /opt/train/*.py\"; repeatable; \"*\" is "
         "any. Built-in trainers need none. Default: any if the server is on this machine, else none")
      ->check([](const std::string& text) { return std::string(parse_allowed_command(text).status().message()); });
  app.add_option("--limit", limits,
                 "Limit of a trainer's processes (setrlimit), such as nofile=4096 or fsize=100G; repeatable")
      ->check([](const std::string& text) { return std::string(parse_limit(text).status().message()); });
  app.add_option("--name", options.name, "What people see; default: the host's name");
  app.add_option("--grace", grace, "Seconds between SIGTERM and SIGKILL of a trainer")->capture_default_str();
  app.add_option("--orphan-lease", orphan_lease, "Stop trainers when the worker has been dead for so many seconds")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
  app.add_option("--connect-timeout", connect_timeout, "Give up after so many seconds without a coordinator")
      ->check(CLI::PositiveNumber);
  add_slurm_options(app, slurm, slurm_poll, gpu_memory_gib);
  scalelaw::client::add_security_options(app, security);
  app.callback([&] {
    if (on_slurm && slots_option->empty()) {
      throw CLI::ValidationError("--slots",
                                 "is needed with --executor slurm: the slots of all jobs at once, waiting "
                                 "ones included");
    }
  });
  CLI11_PARSE(app, argc, argv);

  for (const std::string& label : labels) {
    const std::size_t equals = label.find('=');
    options.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  if (!allowed.empty() || !scalelaw::client::is_loopback(options.server)) options.allowed_commands.emplace();
  for (const std::string& command : allowed) options.allowed_commands->push_back(*parse_allowed_command(command));
  for (const std::string& limit : limits) options.limits.insert(*parse_limit(limit));
  // Trainers run in directories of their own.
  if (!options.checkpoints.empty()) options.checkpoints = std::filesystem::absolute(options.checkpoints);
  options.grace = milliseconds(grace);
  options.orphan_lease = milliseconds(orphan_lease);
  if (connect_timeout > 0) options.connect_timeout = milliseconds(connect_timeout);
  options.program = std::filesystem::read_symlink("/proc/self/exe");
  const auto make_executor = [&]() -> std::unique_ptr<Executor> {
    if (!on_slurm) return std::make_unique<LocalExecutor>(options.program, slots);
    slurm.program = options.program;
    slurm.slots = slots;
    slurm.gpu_memory_bytes = static_cast<std::int64_t>(gpu_memory_gib * (1 << 30));
    slurm.poll = milliseconds(slurm_poll);
    return std::make_unique<SlurmExecutor>(slurm);
  };

  spdlog::set_default_logger(spdlog::stderr_color_mt("worker"));
  ::signal(SIGPIPE, SIG_IGN);
  const sigset_t termination = block_termination();
  const auto credentials = scalelaw::client::load_credentials(security, options.server);
  if (!credentials.ok()) {
    fmt::print(stderr, "scalelaw-worker: {}\n", std::string(credentials.status().message()));
    return 1;
  }
  options.credentials = *credentials;
  auto executor = make_executor();
  auto worker = Worker::open(std::move(options), std::move(executor));
  if (!worker.ok()) {
    fmt::print(stderr, "scalelaw-worker: {}\n", std::string(worker.status().message()));
    return 1;
  }
  end_on_signals(**worker, termination, on_slurm);
  const absl::Status result = (*worker)->run();
  if (result.ok()) return 0;
  fmt::print(stderr, "scalelaw-worker: {}\n", std::string(result.message()));
  return 1;
}
