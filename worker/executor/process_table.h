/// Processes of this machine, named so that a reused number is not mistaken for the process that once had it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace scalelaw::worker {

/// A number and the time of its start (clock ticks since boot): unique until the machine restarts.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start = 0;
  bool operator==(const ProcessId&) const = default;
};

/// The process that has this number now; nothing if there is none or it is a zombie.
std::optional<ProcessId> find_process(pid_t pid);

/// Sends a signal with a value (`sigqueue`) if the process still is the one meant. False if it is gone.
bool send_signal(const ProcessId& process, int signal, int value);

/// Processes whose initial environment holds `NAME=value`, whatever their parents, groups and sessions have become.
std::vector<pid_t> processes_with_environment(const std::string& assignment);

/// Direct children of the calling thread (zombies too).
std::vector<pid_t> own_children();

/// Differs after a restart of the machine.
std::string boot_id();

}  // namespace scalelaw::worker
