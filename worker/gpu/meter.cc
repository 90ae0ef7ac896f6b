#include "worker/gpu/meter.h"

#include <algorithm>

namespace scalelaw::worker {

void GpuMeter::add(Time now, const std::vector<GpuReading>& readings) {
  if (looks_++ == 0) {
    first_ = last_ = now;
    first_readings_ = last_readings_ = readings;
    integrated_joules_.assign(readings.size(), 0);
  }
  const double seconds = std::chrono::duration<double>(now - last_).count();
  for (std::size_t gpu = 0; gpu < readings.size(); ++gpu) {
    const GpuReading& reading = readings[gpu];
    if (reading.utilisation) {
      utilisation_sum_ += *reading.utilisation;
      ++utilisations_;
    }
    peak_memory_bytes_ = std::max(peak_memory_bytes_, reading.memory_used_bytes.value_or(0));
    const double before = last_readings_[gpu].power_watts.value_or(0);
    integrated_joules_[gpu] += seconds * (before + reading.power_watts.value_or(before)) / 2;
  }
  last_ = now;
  last_readings_ = readings;
}

GpuUsage GpuMeter::usage() const {
  GpuUsage usage{.gpus = static_cast<int>(last_readings_.size()),
                 .seconds = std::chrono::duration<double>(last_ - first_).count(),
                 .utilisation = utilisations_ > 0 ? utilisation_sum_ / utilisations_ : 0,
                 .peak_memory_bytes = peak_memory_bytes_};
  for (std::size_t gpu = 0; gpu < last_readings_.size(); ++gpu) {
    const auto& first = first_readings_[gpu].energy_joules;
    const auto& last = last_readings_[gpu].energy_joules;
    usage.energy_joules += first && last && *last >= *first ? *last - *first : integrated_joules_[gpu];
  }
  return usage;
}

}  // namespace scalelaw::worker
