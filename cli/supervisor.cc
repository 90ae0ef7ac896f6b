#include "cli/supervisor.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "cli/exit.h"

namespace scalelaw::cli {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kFirstStartMustLast = 3s;
constexpr auto kFirstPause = 500ms;
constexpr auto kLongestPause = 30s;
constexpr auto kTimeToEnd = 60s;

struct Child {
  Program program;
  pid_t pid = 0;
  bool ready = false;
  bool restarted = false;
  Clock::time_point started;
  Clock::time_point start_at;
  std::chrono::milliseconds pause = kFirstPause;
};

sigset_t handled() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGCHLD, SIGINT, SIGTERM}) sigaddset(&set, signal);
  return set;
}

pid_t start(const Program& program) {
  std::vector<char*> argv;
  for (const std::string& word : program.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid != 0) return pid;
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(0);  // it died before the line above
  sigset_t set = handled();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  execv(argv[0], argv.data());
  fmt::print(stderr, "scalelaw: cannot start {}: {}\n", program.argv[0], std::strerror(errno));
  _exit(127);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
  return fmt::format("ended with exit code {}", WEXITSTATUS(status));
}

// The next signal, or 0 after `at_most`.
int wait_for_signal(std::chrono::milliseconds at_most) {
  sigset_t set = handled();
  timespec timeout{at_most.count() / 1000, (at_most.count() % 1000) * 1'000'000};
  int signal = sigtimedwait(&set, nullptr, &timeout);
  return signal > 0 ? signal : 0;
}

void stop(std::vector<Child>& children) {
  bool kill_now = false;
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    if (child->pid == 0) continue;
    kill(child->pid, kill_now ? SIGKILL : SIGTERM);
    Clock::time_point patience = Clock::now() + kTimeToEnd;
    while (waitpid(child->pid, nullptr, WNOHANG) == 0) {
      int signal = wait_for_signal(200ms);
      if (signal == SIGINT || signal == SIGTERM) kill_now = true;
      if (kill_now || Clock::now() > patience) kill(child->pid, SIGKILL);
    }
    child->pid = 0;
  }
}

}  // namespace

int supervise(const std::vector<Program>& programs, const std::function<void(const std::vector<pid_t>&)>& on_ready) {
  sigset_t set = handled();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  std::vector<Child> children;
  for (const Program& program : programs) children.push_back({program, 0, false, false, {}, Clock::now(), kFirstPause});

  bool told = false;
  while (true) {
    bool all_ready = true;
    for (Child& child : children) {
      if (!all_ready) break;
      if (child.pid == 0 && Clock::now() >= child.start_at) {
        child.pid = start(child.program);
        child.started = Clock::now();
      }
      // Once ready counts: what runs already is not held up by another's new start.
      child.ready = child.ready || (child.pid != 0 && (!child.program.ready || child.program.ready()));
      all_ready = child.ready;
    }
    if (all_ready && !told) {
      told = true;
      std::vector<pid_t> pids;
      for (const Child& child : children) pids.push_back(child.pid);
      on_ready(pids);
    }

    int signal = wait_for_signal(200ms);
    if (signal == SIGINT || signal == SIGTERM) {
      fmt::print(stderr, "Stopping: running trainers save their work first. (Again to kill.)\n");
      stop(children);
      return kOk;
    }
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      auto child = std::find_if(children.begin(), children.end(), [pid](const Child& c) { return c.pid == pid; });
      if (child == children.end()) continue;
      child->pid = 0;
      auto lasted = Clock::now() - child->started;
      if (!child->restarted && lasted < kFirstStartMustLast) {
        fmt::print(stderr, "scalelaw: the {} could not start: it {}\n", child->program.name, how_it_ended(status));
        stop(children);
        return kFailed;
      }
      child->restarted = true;
      child->pause = lasted > kLongestPause ? kFirstPause : child->pause;
      fmt::print(stderr, "scalelaw: the {} {}; starting it again\n", child->program.name, how_it_ended(status));
      child->start_at = Clock::now() + child->pause;
      child->pause = std::min<std::chrono::milliseconds>(child->pause * 2, kLongestPause);
    }
  }
}

}  // namespace scalelaw::cli
