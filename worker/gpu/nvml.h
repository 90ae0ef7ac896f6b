/// NVIDIA's GPUs, as the library of their driver (NVML) knows them. It is looked for at run time: without it there are
/// none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

namespace scalelaw::worker {

struct Gpu {
  /// `NVIDIA H100 80GB HBM3`
  std::string name;
  /// `GPU-…`, unique.
  std::string uuid;
  std::int64_t memory_bytes = 0;
};

/// One look at a GPU; what it cannot tell is absent.
struct GpuReading {
  /// Share of the last moment in which it computed, 0 to 1.
  std::optional<double> utilisation = {};
  std::optional<std::int64_t> memory_used_bytes = {};
  std::optional<double> power_watts = {};
  /// Since the driver was loaded.
  std::optional<double> energy_joules = {};
};

/// Not thread-safe.
class Nvml {
 public:
  /// NOT_FOUND if there is no such library; UNAVAILABLE, in NVML's words, if it finds no driver.
  static absl::StatusOr<std::unique_ptr<Nvml>> load(const std::string& library = "libnvidia-ml.so.1");
  ~Nvml();

  /// In the order of `nvidia-smi`, which is CUDA's with CUDA_DEVICE_ORDER=PCI_BUS_ID.
  const std::vector<Gpu>& gpus() const { return gpus_; }
  GpuReading read(int gpu) const;

 private:
  struct Library;
  explicit Nvml(std::unique_ptr<Library> library);
  absl::Status find_gpus();

  std::unique_ptr<Library> library_;
  std::vector<Gpu> gpus_;
  std::vector<void*> handles_;
};

/// The GPUs that a value of CUDA_VISIBLE_DEVICES names, by number or by the beginning of their uuid. Like CUDA, takes
/// nothing behind a name that is none.
std::vector<int> visible_gpus(const std::vector<Gpu>& gpus, const std::string& cuda_visible_devices);

}  // namespace scalelaw::worker
