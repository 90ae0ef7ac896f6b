// The event file of the trainer protocol: one JSON object per line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "trainer/family.h"
#include "trainer/files.h"

namespace scalelaw::trainer {

/// Every method appends one line and throws WriteError if it cannot.
class Events {
 public:
  explicit Events(const std::string& path) : file_(path) {}

  void start(int64_t params, int64_t params_total, double flops_per_sample, int64_t step);
  /// Values must be finite.
  void metrics(int64_t step, int64_t samples, double flops, const Values& values);
  void progress(double fraction, std::optional<double> seconds_left);
  void checkpoint(int64_t step, const std::string& path);
  void artifact(const std::string& name, const std::string& path, const std::string& kind);

 private:
  LineFile file_;
};

}  // namespace scalelaw::trainer
