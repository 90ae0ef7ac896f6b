#include "worker/gpu/watch.h"

namespace scalelaw::worker {

GpuWatch::GpuWatch(const std::string& cuda_visible_devices) {
  if (cuda_visible_devices.empty()) return;
  auto nvml = Nvml::load();
  if (!nvml.ok()) return;
  nvml_ = *std::move(nvml);
  gpus_ = visible_gpus(nvml_->gpus(), cuda_visible_devices);
}

void GpuWatch::look(GpuMeter::Time now) {
  if (!sees_any()) return;
  std::vector<GpuReading> readings;
  for (const int gpu : gpus_) readings.push_back(nvml_->read(gpu));
  meter_.add(now, readings);
}

std::optional<GpuUsage> GpuWatch::usage() const {
  return sees_any() ? std::optional(meter_.usage()) : std::nullopt;
}

}  // namespace scalelaw::worker
