/// What an attempt made of its GPUs. Pure: readings and times in, a summary out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "worker/gpu/nvml.h"

namespace scalelaw::worker {

struct GpuUsage {
  int gpus = 0;
  /// Over which it was measured.
  double seconds = 0;
  /// Mean over time and GPUs, 0 to 1.
  double utilisation = 0;
  /// The most that any one of them held, whoever's it was.
  std::int64_t peak_memory_bytes = 0;
  /// Of all of them.
  double energy_joules = 0;
  double mean_power_watts() const { return seconds > 0 ? energy_joules / seconds : 0; }
};

class GpuMeter {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// One reading for each GPU, always in the same order.
  void add(Time now, const std::vector<GpuReading>& readings);
  /// Energy is the difference of the GPUs' own counters; where they have none, power over time (trapezoids).
  GpuUsage usage() const;

 private:
  Time first_{};
  Time last_{};
  int looks_ = 0;
  std::vector<GpuReading> first_readings_;
  std::vector<GpuReading> last_readings_;
  std::vector<double> integrated_joules_;
  double utilisation_sum_ = 0;
  int utilisations_ = 0;
  std::int64_t peak_memory_bytes_ = 0;
};

}  // namespace scalelaw::worker
