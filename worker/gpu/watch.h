/// Reads the GPUs of one attempt now and then.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/gpu/meter.h"
#include "worker/gpu/nvml.h"

namespace scalelaw::worker {

class GpuWatch {
 public:
  /// Those that `cuda_visible_devices` names; without NVML, none.
  explicit GpuWatch(const std::string& cuda_visible_devices);

  bool sees_any() const { return !gpus_.empty(); }
  void look(GpuMeter::Time now);
  /// Nothing if there was nothing to see.
  std::optional<GpuUsage> usage() const;

 private:
  std::unique_ptr<Nvml> nvml_;
  std::vector<int> gpus_;
  GpuMeter meter_;
};

}  // namespace scalelaw::worker
