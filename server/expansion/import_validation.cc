#include "server/expansion/import_validation.h"

#include <cmath>
#include <set>
#include <string>

#include <fmt/format.h>

#include "server/expansion/validation.h"

namespace scalelaw::server {
namespace {

constexpr size_t kMaxKeyLength = 500;
constexpr size_t kMaxMetricName = 200;

absl::Status check_text(const std::string& path, const std::string& text, size_t most) {
  if (text.empty()) return invalid(path, "is required");
  if (text.size() > most) return invalid(path, fmt::format("has {} bytes; allowed are {}", text.size(), most));
  return absl::OkStatus();
}

absl::Status check_point(const std::string& path, const v1::Point& point) {
  if (point.step() < 0) return invalid(path + ".step", "must be at least 0");
  if (point.samples() < 0) return invalid(path + ".samples", "must be at least 0");
  if (!std::isfinite(point.flops()) || point.flops() < 0)
    return invalid(path + ".flops", "must be finite and at least 0");
  if (!std::isfinite(point.value())) return invalid(path + ".value", "must be a finite number");
  return absl::OkStatus();
}

absl::Status check_run(const std::string& path, const v1::ImportedRun& run) {
  if (auto s = check_text(path + ".key", run.key(), kMaxKeyLength); !s.ok()) return s;
  if (run.name().size() > kMaxKeyLength) return check_text(path + ".name", run.name(), kMaxKeyLength);
  if (run.model_params() < 0) return invalid(path + ".model_params", "must be at least 0");
  if (auto s = check_params(path + ".params", run.params()); !s.ok()) return s;
  for (const v1::Curve& curve : run.curves()) {
    if (auto s = check_text(path + ".curves.metric", curve.metric(), kMaxMetricName); !s.ok()) return s;
    for (int i = 0; i < curve.points_size(); ++i) {
      const std::string point = fmt::format("{}.curves[{}].points[{}]", path, curve.metric(), i);
      if (auto s = check_point(point, curve.points(i)); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status validate(const v1::ImportRunsRequest& request) {
  if (auto s = check_name("study", request.study()); !s.ok()) return s;
  if (auto s = check_sweep_name("sweep", request.sweep()); !s.ok()) return s;
  if (request.runs().empty()) return invalid("runs", "is required: at least one run");
  std::set<std::string> keys;
  for (int i = 0; i < request.runs_size(); ++i) {
    const std::string path = fmt::format("runs[{}]", i);
    if (auto s = check_run(path, request.runs(i)); !s.ok()) return s;
    if (!keys.insert(request.runs(i).key()).second)
      return invalid(path + ".key", fmt::format("\"{}\" is the key of another run too", request.runs(i).key()));
  }
  return absl::OkStatus();
}

}  // namespace scalelaw::server
