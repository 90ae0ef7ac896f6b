#include "worker/executor/gang_member.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include <absl/strings/numbers.h>
#include <fmt/format.h>

#include "worker/attempt/attempt_dir.h"
#include "worker/attempt/exit.h"
#include "worker/attempt/files.h"
#include "worker/attempt/launch.h"

namespace scalelaw::worker {
namespace {

// Ports above those that daemons use and below those that kernels give out. Another job has another one.
constexpr int kFirstPort = 20'000;
constexpr int kPorts = 10'000;

int number(const char* variable) {
  const char* text = std::getenv(variable);
  int value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : 0;
}

v1::GangMember this_member() {
  v1::GangMember member;
  member.set_rank(static_cast<std::uint32_t>(number("SLURM_PROCID")));
  // Where srun runs, which is the node of rank 0. Its name need not be known to the others' resolvers.
  const char* address = std::getenv("SLURM_LAUNCH_NODE_IPADDR");
  member.set_master_address(address != nullptr ? address : "127.0.0.1");
  member.set_master_port(static_cast<std::uint32_t>(kFirstPort + number("SLURM_JOB_ID") % kPorts));
  return member;
}

[[noreturn]] void become_trainer(const AttemptDir& dir, const Launch& launch, const sigset_t& signals) {
  const v1::GangMember member = this_member();
  const int rank = static_cast<int>(member.rank());
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Slurm signals every process of a step, not its tasks alone; this one gets a SIGTERM instead.
  ::signal(SIGUSR1, SIG_IGN);
  ::sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  for (const auto& [name, value] :
       gang_environment(member, static_cast<std::size_t>(launch.nodes), launch.slots.size())) {
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  if (rank > 0) {
    ::setenv("SCALELAW_EVENTS", dir.member_events(rank).c_str(), 1);
    const int output = ::open(dir.member_output(rank).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
  }
  std::vector<char*> argv;
  for (const std::string& argument : launch.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  fmt::print(stderr, "cannot start {}: {}\n", launch.argv[0], ::strerror(errno));
  ::_exit(127);
}

}  // namespace

int run_gang_member(const std::filesystem::path& attempt_dir) {
  const AttemptDir dir{attempt_dir};
  const auto text = read_file(dir.launch());
  const auto launch = text.ok() ? launch_from_json(*text) : text.status();
  if (!launch.ok()) {
    fmt::print(stderr, "{}\n", std::string(launch.status().message()));
    return 1;
  }
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGUSR1}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const pid_t trainer = ::fork();
  if (trainer < 0) {
    fmt::print(stderr, "cannot fork the trainer: {}\n", ::strerror(errno));
    return 1;
  }
  if (trainer == 0) become_trainer(dir, *launch, signals);
  ::setpgid(trainer, trainer);

  int status = 0;
  while (::waitpid(trainer, &status, WNOHANG) == 0) {
    int signal = 0;
    ::sigwait(&signals, &signal);
    if (signal != SIGCHLD) ::kill(-trainer, SIGTERM);
  }
  ::kill(-trainer, SIGKILL);
  if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
  if (WEXITSTATUS(status) != kInterrupted) return WEXITSTATUS(status);
  return write_file(dir.interrupted(), "").ok() ? 0 : kInterrupted;
}

}  // namespace scalelaw::worker
