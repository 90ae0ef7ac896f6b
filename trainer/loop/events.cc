#include "trainer/loop/events.h"

#include <nlohmann/json.hpp>

namespace scalelaw::trainer {

using nlohmann::json;

void Events::start(int64_t params, int64_t params_total, double flops_per_sample, int64_t step) {
  file_.append(json{
      {"event", "start"},
      {"params", params},
      {"params_total", params_total},
      {"flops_per_sample", flops_per_sample},
      {"step",
       step}}.dump());
}

void Events::metrics(int64_t step, int64_t samples, double flops, const Values& values) {
  file_.append(
      json{{"event", "metrics"}, {"step", step}, {"samples", samples}, {"flops", flops}, {"values", values}}.dump());
}

void Events::progress(double fraction, std::optional<double> seconds_left) {
  json event = {{"event", "progress"}, {"fraction", fraction}};
  if (seconds_left) event["seconds_left"] = *seconds_left;
  file_.append(event.dump());
}

void Events::checkpoint(int64_t step, const std::string& path) {
  file_.append(json{{"event", "checkpoint"}, {"step", step}, {"path", path}}.dump());
}

void Events::artifact(const std::string& name, const std::string& path, const std::string& kind) {
  file_.append(json{{"event", "artifact"}, {"name", name}, {"path", path}, {"kind", kind}}.dump());
}

}  // namespace scalelaw::trainer
