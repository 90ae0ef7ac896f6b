/// What this machine offers.
#pragma once

#include <cstdint>
#include <string>

namespace scalelaw::worker {

std::string host_name();

struct Machine {
  /// CPU cores that this process may use: its affinity, less where a cgroup allows less.
  int cores = 1;
  /// As NVML knows them, or at least the kernel's driver.
  int gpus = 0;
  /// From NVML: the name of the first, and the memory of the smallest. Empty and 0 without.
  std::string gpu_model = {};
  std::int64_t gpu_memory_bytes = 0;
};
Machine inspect_machine();

}  // namespace scalelaw::worker
