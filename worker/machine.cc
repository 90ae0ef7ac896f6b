#include "worker/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "worker/gpu/nvml.h"

namespace scalelaw::worker {
namespace {

int allowed_cores() {
  cpu_set_t set;
  const int by_affinity = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  // A container's limit (cgroup v2): "quota period" in microseconds, or "max period".
  std::ifstream limit("/sys/fs/cgroup/cpu.max");
  double quota = 0;
  double period = 0;
  if (limit >> quota >> period && quota > 0 && period > 0) {
    return std::clamp(static_cast<int>(std::ceil(quota / period)), 1, by_affinity);
  }
  return by_affinity;
}

int driver_gpus() {
  std::error_code error;
  const std::filesystem::directory_iterator gpus("/proc/driver/nvidia/gpus", error);
  return error ? 0 : static_cast<int>(std::distance(gpus, std::filesystem::directory_iterator{}));
}

}  // namespace

std::string host_name() {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  return host;
}

Machine inspect_machine() {
  Machine machine{.cores = allowed_cores(), .gpus = driver_gpus()};
  const auto nvml = Nvml::load();
  if (!nvml.ok() || (*nvml)->gpus().empty()) return machine;
  const std::vector<Gpu>& gpus = (*nvml)->gpus();
  machine.gpus = static_cast<int>(gpus.size());
  machine.gpu_model = gpus[0].name;
  machine.gpu_memory_bytes = std::min_element(gpus.begin(), gpus.end(), [](const Gpu& a, const Gpu& b) {
                               return a.memory_bytes < b.memory_bytes;
                             })->memory_bytes;
  return machine;
}

}  // namespace scalelaw::worker
