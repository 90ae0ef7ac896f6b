/// What this machine offers.
#pragma once

#include <string>

namespace scalelaw::worker {

struct Machine {
  std::string host;
  /// CPU cores that this process may use: its affinity, less where a cgroup allows less.
  int cores = 1;
  /// As the kernel driver lists them (no NVML needed).
  int gpus = 0;
};
Machine inspect_machine();

}  // namespace scalelaw::worker
