#include "worker/executor/local.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include <fmt/format.h>

#include "worker/attempt/files.h"
#include "worker/executor/process_table.h"
#include "worker/executor/supervisor.h"
#include "worker/machine.h"

namespace scalelaw::worker {
namespace {

constexpr int kMaxStarts = 3;

// A session of its own, nothing inherited but the environment, and stops held back until the supervisor listens.
absl::StatusOr<pid_t> spawn_supervisor(const std::filesystem::path& program, const AttemptDir& dir) {
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t blocked;
  ::sigemptyset(&blocked);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, stop_signal()}) ::sigaddset(&blocked, signal);
  sigset_t defaults;
  ::sigfillset(&defaults);
  ::posix_spawnattr_setsigmask(&attributes, &blocked);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, 1, dir.supervisor_log().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::posix_spawn_file_actions_adddup2(&files, 1, 2);
  ::posix_spawn_file_actions_addclosefrom_np(&files, 3);

  const std::string path = program.string();
  std::string arguments[] = {program.filename().string(), "supervise", dir.path.string()};
  char* const argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, path.c_str(), &files, &attributes, argv, environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return system_error(error, fmt::format("cannot start the supervisor {}", path));
  return pid;
}

absl::StatusOr<Supervised> read_supervised(const AttemptDir& dir) {
  const auto text = read_file(dir.supervisor());
  if (!text.ok()) return text.status();
  return supervised_from_json(*text);
}

Executor::Observation ended(Exit exit) {
  return {Executor::Phase::kEnded, std::move(exit)};
}

Executor::Observation broken(std::string error) {
  return ended({.code = -SIGKILL, .error = std::move(error), .cause = Exit::Cause::kInfrastructure});
}

// For trainers that lost their supervisor: whoever carries the attempt's environment is one of theirs.
void kill_orphans(const AttemptDir& dir) {
  const std::string mark = "SCALELAW_EVENTS=" + dir.events().string();
  for (int round = 0; round < 100; ++round) {
    const auto orphans = processes_with_environment(mark);
    if (orphans.empty()) return;
    for (const pid_t pid : orphans) ::kill(pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

LocalExecutor::LocalExecutor(std::filesystem::path program, int slots) : program_(std::move(program)) {
  const Machine machine = inspect_machine();
  slots_ = slots > 0 ? slots : machine.gpus > 0 ? machine.gpus : machine.cores;
  share_ = {std::max(1, machine.cores / slots_), machine.gpus > 0};
  gpu_model_ = machine.gpu_model;
  gpu_memory_bytes_ = machine.gpu_memory_bytes;
}

Executor::Offer LocalExecutor::offer() const {
  return {.slots = slots_,
          .gpu_model = gpu_model_,
          .gpu_memory_bytes = gpu_memory_bytes_,
          .slot = fmt::format("{} CPU threads{}", share_.cpu_threads, share_.gpus ? " and a GPU" : "")};
}

std::map<std::string, std::string> LocalExecutor::environment(const std::vector<int>& slots) const {
  return slot_environment(slots, share_);
}

absl::Status LocalExecutor::start(const AttemptDir& dir) {
  Child& child = children_[dir.path];
  const absl::StatusOr<pid_t> pid = spawn_supervisor(program_, dir);
  if (!pid.ok()) return pid.status();
  child.pid = *pid;
  ++child.starts;
  return absl::OkStatus();
}

void LocalExecutor::reap() {
  for (auto& [path, child] : children_) {
    if (child.pid > 0 && ::waitpid(child.pid, nullptr, WNOHANG) == child.pid) child.pid = 0;
  }
}

Executor::Observation LocalExecutor::observe(const AttemptDir& dir) {
  reap();
  // In this order: a supervisor writes exit.json before it lets go of its lock.
  const bool supervised = FileLock::held(dir.supervisor_lock());
  if (const auto text = read_file(dir.exit()); text.ok()) {
    if (const auto child = children_.find(dir.path); child != children_.end() && child->second.pid == 0) {
      children_.erase(child);
    }
    const auto exit = exit_from_json(*text);
    return exit.ok() ? ended(*exit) : broken(std::string(exit.status().message()));
  }
  if (supervised) return {std::filesystem::exists(dir.supervisor()) ? Phase::kRunning : Phase::kStarting, {}};
  return without_supervisor(dir);
}

Executor::Observation LocalExecutor::without_supervisor(const AttemptDir& dir) {
  const auto who = read_supervised(dir);
  if (who.ok()) {
    if (who->boot != boot_id()) return broken("the machine was restarted while it ran");
    kill_orphans(dir);
    return broken("its supervisor was killed");
  }
  const auto child = children_.find(dir.path);
  if (child != children_.end() && child->second.pid > 0) return {Phase::kStarting, {}};  // Not at its lock yet.
  if (child != children_.end() && child->second.starts >= kMaxStarts) {
    const auto log = read_file(dir.supervisor_log());
    return broken(fmt::format("its supervisor does not start: {}", log.ok() ? log->substr(0, 1000) : "no output"));
  }
  if (const absl::Status started = start(dir); !started.ok()) return broken(std::string(started.message()));
  return {Phase::kStarting, {}};
}

bool LocalExecutor::stop(const AttemptDir& dir, std::chrono::milliseconds grace) {
  const auto milliseconds = static_cast<int>(grace.count());
  if (const auto child = children_.find(dir.path); child != children_.end() && child->second.pid > 0) {
    sigval value{};
    value.sival_int = milliseconds;
    return ::sigqueue(child->second.pid, stop_signal(), value) == 0;
  }
  const auto who = read_supervised(dir);
  return who.ok() && who->boot == boot_id() && send_signal(who->supervisor, stop_signal(), milliseconds);
}

}  // namespace scalelaw::worker
