#include "worker/executor/process_table.h"

#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>

#include "worker/attempt/files.h"

namespace scalelaw::worker {
namespace {

struct Stat {
  char state;
  pid_t parent;
  std::uint64_t start;
};

// proc(5): `pid (comm) state ppid … starttime(22) …`; comm may hold anything, also spaces and parentheses.
std::optional<Stat> read_stat(pid_t pid) {
  const auto content = read_file(fmt::format("/proc/{}/stat", pid));
  if (!content.ok()) return std::nullopt;
  const std::size_t end_of_name = content->rfind(')');
  if (end_of_name == std::string::npos) return std::nullopt;
  std::istringstream fields(content->substr(end_of_name + 1));
  Stat stat{};
  fields >> stat.state >> stat.parent;
  std::string skipped;
  for (int field = 5; field < 22; ++field) fields >> skipped;
  fields >> stat.start;
  if (!fields) return std::nullopt;
  return stat;
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (problem == std::errc() && end == name.data() + name.size()) pids.push_back(pid);
  }
  return pids;
}

}  // namespace

std::optional<ProcessId> find_process(pid_t pid) {
  const std::optional<Stat> stat = read_stat(pid);
  if (!stat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
  return ProcessId{pid, stat->start};
}

bool send_signal(const ProcessId& process, int signal, int value) {
  if (process.pid <= 0 || find_process(process.pid) != process) return false;
  sigval payload{};
  payload.sival_int = value;
  return ::sigqueue(process.pid, signal, payload) == 0;
}

std::vector<pid_t> processes_with_environment(const std::string& assignment) {
  std::vector<pid_t> found;
  const std::string needle = '\0' + assignment + '\0';
  for (const pid_t pid : all_processes()) {
    const auto environment = read_file(fmt::format("/proc/{}/environ", pid));
    if (environment.ok() && ('\0' + *environment).find(needle) != std::string::npos) found.push_back(pid);
  }
  return found;
}

std::vector<pid_t> own_children() {
  std::vector<pid_t> children;
  if (const auto list = read_file("/proc/thread-self/children"); list.ok()) {
    std::istringstream pids(*list);
    for (pid_t pid = 0; pids >> pid;) children.push_back(pid);
    return children;
  }
  // A kernel without CONFIG_PROC_CHILDREN.
  for (const pid_t pid : all_processes()) {
    const std::optional<Stat> stat = read_stat(pid);
    if (stat && stat->parent == ::getpid()) children.push_back(pid);
  }
  return children;
}

std::string boot_id() {
  const auto content = read_file("/proc/sys/kernel/random/boot_id");
  return content.ok() ? content->substr(0, 36) : "";
}

}  // namespace scalelaw::worker
