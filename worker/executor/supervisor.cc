#include "worker/executor/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "worker/attempt/attempt_dir.h"
#include "worker/attempt/exit.h"
#include "worker/attempt/files.h"
#include "worker/attempt/launch.h"
#include "worker/executor/lease.h"
#include "worker/executor/slurm_jobs.h"
#include "worker/gpu/watch.h"

namespace scalelaw::worker {
namespace {

using namespace std::chrono_literals;
using Clock = LeaseClock;
using std::chrono::milliseconds;

// An earlier trainer of the run may still be dying.
constexpr auto kWaitForRunDirectory = 60s;
constexpr auto kWaitForStrays = 10s;
// A worker that has no readable lease for this long is as good as gone.
constexpr auto kLeaseUnreadable = 30s;
constexpr auto kGpusEvery = 2s;
constexpr auto kSignOfLife = 5s;
constexpr std::uintmax_t kFullDiskBytes = 64 << 10;

std::string to_json(const Supervised& supervised) {
  const auto process = [](const ProcessId& id) { return nlohmann::json{{"pid", id.pid}, {"start", id.start}}; };
  return nlohmann::json{{"boot", supervised.boot},
                        {"supervisor", process(supervised.supervisor)},
                        {"trainer", process(supervised.trainer)}}
      .dump();
}

// Room for the exit file, taken before the trainer can fill the disk.
class ExitFile {
 public:
  explicit ExitFile(const AttemptDir& dir) : file_(dir.exit()), temporary_(dir.exit().string() + ".tmp") {
    fd_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const std::string room(4096, ' ');
    const bool reserved = fd_ >= 0 && ::pwrite(fd_, room.data(), room.size(), 0) == 4096 && ::fsync(fd_) == 0;
    if (!reserved) status_ = system_error(errno, fmt::format("cannot write {}", temporary_.string()));
  }
  const absl::Status& status() const { return status_; }
  // Tries until it is on the disk: the worker has nothing else to go by.
  void write(const Exit& exit) {
    const std::string content = scalelaw::worker::to_json(exit);
    while (!write_once(content)) std::this_thread::sleep_for(1s);
  }

 private:
  bool write_once(const std::string& content) {
    if (fd_ < 0) fd_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (::access(file_.parent_path().c_str(), F_OK) != 0) return true;  // The directory is gone: nobody asks.
    const auto size = static_cast<ssize_t>(content.size());
    return fd_ >= 0 && ::pwrite(fd_, content.data(), content.size(), 0) == size && ::ftruncate(fd_, size) == 0 &&
           ::fsync(fd_) == 0 && ::rename(temporary_.c_str(), file_.c_str()) == 0 && sync_directory();
  }
  bool sync_directory() const {
    const int directory = ::open(file_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0) {
      ::fsync(directory);
      ::close(directory);
    }
    return true;
  }

  std::filesystem::path file_;
  std::filesystem::path temporary_;
  int fd_ = -1;
  absl::Status status_;
};

struct StopSignal {
  /// Until SIGKILL; absent: whoever asked kills by itself.
  std::optional<milliseconds> grace;
  bool time_is_up = false;
};

// Signals as events of a descriptor.
class Signals {
 public:
  explicit Signals(milliseconds default_grace) : default_grace_(default_grace) {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGUSR1, stop_signal()}) ::sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  /// Waits for a signal, at most this long; the stop that was asked for, if any.
  std::optional<StopSignal> wait(milliseconds timeout) {
    pollfd ready{fd_, POLLIN, 0};
    ::poll(&ready, 1, static_cast<int>(std::clamp<long>(timeout.count(), 0, 60'000)));
    std::optional<StopSignal> stop;
    signalfd_siginfo info{};
    while (::read(fd_, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGCHLD) continue;
      if (!stop) stop.emplace();
      if (info.ssi_signo == SIGUSR1) {
        stop->time_is_up = true;
        continue;
      }
      const bool has_grace = static_cast<int>(info.ssi_signo) == stop_signal();
      const milliseconds grace = has_grace ? milliseconds(std::max(0, info.ssi_int)) : default_grace_;
      stop->grace = std::min(grace, stop->grace.value_or(grace));
    }
    return stop;
  }

 private:
  milliseconds default_grace_;
  int fd_ = -1;
};

// In the child, between fork and exec. `go`: read until the parent has written down who we are; `failure`: takes errno.
[[noreturn]] void become_trainer(const AttemptDir& dir, const Launch& launch, int run_lock, int go, int failure) {
  const auto fail = [failure](int error) {
    [[maybe_unused]] const ssize_t n = ::write(failure, &error, sizeof error);
    ::_exit(127);
  };
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  char byte = 0;
  if (::read(go, &byte, 1) != 1) ::_exit(127);  // The supervisor died.

  const int input = ::open("/dev/null", O_RDONLY);
  const int output = ::open(dir.output().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (input < 0 || output < 0 || ::chdir(launch.run_directory.c_str()) != 0) fail(errno);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  // The trainer and its children share the lock on the run's directory: it is free when the last of them is gone.
  [[maybe_unused]] const int inherited_lock = ::dup(run_lock);
  ::close(input);
  ::close(output);

  for (const auto& [name, value] : launch.environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (!apply(launch.limits)) fail(errno);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  std::vector<char*> argv;
  for (const std::string& argument : launch.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  fail(errno);
  ::_exit(127);
}

// Whether the same program could be started another time.
bool is_passing(int error) {
  return error == EAGAIN || error == ENOMEM || error == ETXTBSY || error == EMFILE || error == ENOSPC;
}

Exit could_not_start(const Launch& launch, int error) {
  return Exit{.code = 127,
              .error = fmt::format("cannot start {:.1000}: {}", fmt::format("{}", launch.argv), ::strerror(error)),
              .cause = is_passing(error) ? Exit::Cause::kInfrastructure : Exit::Cause::kPermanent};
}

Exit could_not_run(const absl::Status& why) {
  return {.code = 1, .error = std::string(why.message()), .cause = Exit::Cause::kInfrastructure};
}

class Supervisor {
 public:
  Supervisor(AttemptDir dir, Launch launch, Supervision supervision)
      : dir_(std::move(dir)),
        launch_(std::move(launch)),
        supervision_(supervision),
        default_grace_(static_cast<long>(launch_.grace_seconds * 1000)),
        signals_(default_grace_) {}

  Exit run() {
    auto run_lock = lock_run_directory();
    if (!run_lock.ok()) return could_not_run(run_lock.status());
    if (absl::StatusOr<std::optional<Exit>> failed = start(run_lock->descriptor()); !failed.ok()) {
      return could_not_run(failed.status());
    } else if (failed->has_value()) {
      return **failed;
    }
    GpuWatch gpus(visible_devices());
    Exit exit = wait_for_trainer(gpus);
    exit.gpu = gpus.usage();
    blame_full_disk(exit);
    kill_what_is_left();
    return exit;
  }

 private:
  absl::StatusOr<FileLock> lock_run_directory() {
    const auto file = launch_.run_directory / ".lock";
    const auto deadline = Clock::now() + kWaitForRunDirectory;
    while (true) {
      auto lock = FileLock::take(file);
      if (lock.ok() || lock.status().code() != absl::StatusCode::kFailedPrecondition) return lock;
      if (Clock::now() > deadline) {
        return absl::UnavailableError(fmt::format("another trainer still works in {}", launch_.run_directory.string()));
      }
      if (signals_.wait(20ms)) return absl::CancelledError("stopped before it was started");
    }
  }

  // An Exit if the program could not be started.
  absl::StatusOr<std::optional<Exit>> start(int run_lock) {
    int go[2];
    int failure[2];
    if (::pipe2(go, O_CLOEXEC) != 0 || ::pipe2(failure, O_CLOEXEC) != 0) return system_error(errno, "pipe");
    trainer_ = ::fork();
    if (trainer_ < 0) return system_error(errno, "cannot fork the trainer");
    if (trainer_ == 0) {
      ::close(go[1]);
      become_trainer(dir_, launch_, run_lock, go[0], failure[1]);
    }
    ::setpgid(trainer_, trainer_);
    ::close(go[0]);
    ::close(failure[1]);
    const Supervised who{boot_id(), *find_process(::getpid()), find_process(trainer_).value_or(ProcessId{trainer_, 0})};
    const absl::Status written = write_file(dir_.supervisor(), to_json(who));
    if (written.ok()) {
      [[maybe_unused]] const ssize_t n = ::write(go[1], "g", 1);
    }
    ::close(go[1]);

    int error = 0;
    const bool failed = ::read(failure[0], &error, sizeof error) == sizeof error;
    ::close(failure[0]);
    if (failed || !written.ok()) ::waitpid(trainer_, nullptr, 0);
    if (!written.ok()) return written;
    return failed ? std::optional(could_not_start(launch_, error)) : std::nullopt;
  }

  // The launch's own, or what the cluster has set for the job.
  std::string visible_devices() const {
    constexpr const char* kVariable = "CUDA_VISIBLE_DEVICES";
    const auto given = launch_.environment.find(kVariable);
    if (given != launch_.environment.end()) return given->second;
    const char* inherited = supervision_ == Supervision::kClusterJob ? std::getenv(kVariable) : nullptr;
    return inherited != nullptr ? inherited : "";
  }

  Exit wait_for_trainer(GpuWatch& gpus) {
    auto look_at_gpus_at = Clock::now();
    while (!trainer_ended()) {
      const auto now = Clock::now();
      if (kill_at_ && now >= *kill_at_) {
        // The members are on other machines: srun kills them, and is killed itself if it does not end.
        ::kill(-trainer_, is_gang() && !std::exchange(told_to_kill_, true) ? SIGTERM : SIGKILL);
        kill_at_ = now + (is_gang() ? 10s : 1s);
      }
      check_lease(now);
      auto wake = kill_at_ ? std::min(*kill_at_, check_lease_at_) : check_lease_at_;
      if (gpus.sees_any()) {
        if (now >= look_at_gpus_at) {
          gpus.look(now);
          look_at_gpus_at = now + kGpusEvery;
        }
        wake = std::min(wake, look_at_gpus_at);
      }
      if (const auto stop = signals_.wait(std::chrono::ceil<milliseconds>(wake - now))) {
        time_is_up_ = time_is_up_ || stop->time_is_up;
        stop_trainer(stop->grace);
      }
    }
    gpus.look(Clock::now());
    return trainer_exit();
  }

  bool is_gang() const { return launch_.nodes > 1; }

  void stop_trainer(std::optional<milliseconds> grace) {
    if (grace != 0ms && !kill_at_) {
      // srun passes SIGUSR1 on to the members, and kills them on SIGTERM.
      ::kill(-trainer_, is_gang() ? SIGUSR1 : SIGTERM);
      // A stopped (SIGSTOP) trainer must run to hear of it.
      ::kill(-trainer_, SIGCONT);
    }
    if (!grace) return;
    const auto deadline = Clock::now() + *grace;
    kill_at_ = kill_at_ ? std::min(*kill_at_, deadline) : deadline;
  }

  void check_lease(Clock::time_point now) {
    if (now < check_lease_at_) return;
    if (supervision_ == Supervision::kClusterJob) {
      // It outlives its worker, and a controller that has forgotten it: the file's time is a sign of life.
      ::utimensat(AT_FDCWD, dir_.supervisor().c_str(), nullptr, 0);
      check_lease_at_ = now + kSignOfLife;
      return;
    }
    const auto deadline = read_lease(dir_.lease());
    if (deadline) lease_seen_ = now;
    const bool expired = deadline ? now >= *deadline : now - lease_seen_ > kLeaseUnreadable;
    if (expired && !orphaned_) {
      fmt::print(stderr, "the worker is gone: stopping the trainer\n");
      orphaned_ = true;
      stop_trainer(default_grace_);
    }
    // Sleeps until the deadline: nothing to do before.
    check_lease_at_ = deadline && *deadline > now ? *deadline + 1ms : now + 1s;
  }

  // Reaps strays that were handed to us; leaves the trainer a zombie so that its group's number stays ours.
  bool trainer_ended() {
    while (true) {
      siginfo_t info{};
      if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return false;
      if (info.si_pid == trainer_) return true;
      ::waitpid(info.si_pid, nullptr, 0);
    }
  }

  Exit trainer_exit() {
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(trainer_), &info, WEXITED | WNOWAIT);
    int code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    if (code == 0 && std::filesystem::exists(dir_.interrupted())) code = kInterrupted;
    if (orphaned_) return {code, "its worker was away for too long", Exit::Cause::kStopped};
    if (time_is_up_ && code == kInterrupted) return {code, "the time limit of its job was near"};
    if (time_is_up_ && code != 0 && code != kCannotSucceed) {
      return {
          code,
          "the time limit of its job was near, and on SIGTERM the trainer did not end with exit code 75, as after a "
          "checkpoint"};
    }
    return {.code = code};
  }

  // A trainer that fails on a full disk cannot say so: its output lies on that disk.
  void blame_full_disk(Exit& exit) const {
    if (exit.code == 0 || exit.code == kInterrupted || exit.code == kCannotSucceed) return;
    std::error_code unknown;
    const auto space = std::filesystem::space(launch_.run_directory, unknown);
    if (unknown || space.available >= kFullDiskBytes) return;
    exit.error = fmt::format("exit code {} while the disk of {} is full", exit.code, launch_.run_directory.string());
    exit.cause = Exit::Cause::kInfrastructure;
  }

  // Its group, and as a subreaper everything else that descends from it, in whatever session it hides.
  void kill_what_is_left() {
    ::kill(-trainer_, SIGKILL);
    const auto deadline = Clock::now() + kWaitForStrays;
    while (Clock::now() < deadline) {
      for (const pid_t child : own_children()) {
        if (child != trainer_) ::kill(child, SIGKILL);
      }
      pid_t reaped = 0;
      while ((reaped = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
      }
      if (reaped < 0 && errno == ECHILD) return;
      signals_.wait(50ms);
    }
    fmt::print(stderr, "some processes of the trainer cannot be killed\n");
  }

  AttemptDir dir_;
  Launch launch_;
  Supervision supervision_;
  milliseconds default_grace_;
  Signals signals_;
  pid_t trainer_ = 0;
  std::optional<Clock::time_point> kill_at_;
  Clock::time_point lease_seen_ = Clock::now();
  Clock::time_point check_lease_at_ = Clock::now();
  bool told_to_kill_ = false;
  bool orphaned_ = false;
  bool time_is_up_ = false;
};

}  // namespace

int stop_signal() {
  return SIGRTMIN;
}

absl::StatusOr<Supervised> supervised_from_json(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    const auto process = [&](const char* key) {
      return ProcessId{json.at(key).at("pid").get<pid_t>(), json.at(key).at("start").get<std::uint64_t>()};
    };
    return Supervised{json.at("boot").get<std::string>(), process("supervisor"), process("trainer")};
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(fmt::format("the supervisor file is damaged: {}", error.what()));
  }
}

int supervise(const std::filesystem::path& attempt_dir, Supervision supervision) {
  const AttemptDir dir{std::filesystem::absolute(attempt_dir)};
  const auto sole = FileLock::take(dir.supervisor_lock());
  if (!sole.ok()) return sole.status().code() == absl::StatusCode::kFailedPrecondition ? 0 : 1;
  if (std::filesystem::exists(dir.exit()) || std::filesystem::exists(dir.supervisor())) return 0;

  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::signal(SIGPIPE, SIG_IGN);
  ExitFile exit_file(dir);
  const auto text = read_file(dir.launch());
  auto launch = text.ok() ? launch_from_json(*text) : text.status();
  if (const absl::Status problem = launch.ok() ? exit_file.status() : launch.status(); !problem.ok()) {
    fmt::print(stderr, "{}\n", std::string(problem.message()));
    exit_file.write(could_not_run(problem));
    return 1;
  }
  if (launch->nodes > 1) launch->argv = srun_arguments(std::filesystem::read_symlink("/proc/self/exe"), *launch, dir);
  const Exit exit = Supervisor(dir, *std::move(launch), supervision).run();
  exit_file.write(exit);
  if (supervision == Supervision::kUnderLease) return 0;
  return exit.code < 0 ? 128 - exit.code : exit.code;
}

}  // namespace scalelaw::worker
