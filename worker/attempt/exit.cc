#include "worker/attempt/exit.h"

#include <signal.h>
#include <string.h>

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace scalelaw::worker {
namespace {

std::string describe_code(int code) {
  if (code >= 0) return fmt::format("exit code {}", code);
  const char* name = ::sigabbrev_np(-code);
  return fmt::format("killed by signal {} (SIG{})", -code, name ? name : "?");
}

const char* name(Exit::Cause cause) {
  switch (cause) {
    case Exit::Cause::kTrainer:
      return "trainer";
    case Exit::Cause::kPermanent:
      return "permanent";
    case Exit::Cause::kInfrastructure:
      return "infrastructure";
    case Exit::Cause::kStopped:
      return "stopped";
  }
  return "unknown";
}

std::optional<Exit::Cause> cause_of(const std::string& text) {
  using enum Exit::Cause;
  for (const Exit::Cause cause : {kTrainer, kPermanent, kInfrastructure, kStopped}) {
    if (text == name(cause)) return cause;
  }
  return std::nullopt;
}

nlohmann::json to_json(const GpuUsage& usage) {
  return {{"gpus", usage.gpus},
          {"seconds", usage.seconds},
          {"utilisation", usage.utilisation},
          {"peak_memory_bytes", usage.peak_memory_bytes},
          {"energy_joules", usage.energy_joules}};
}

std::optional<GpuUsage> usage_from_json(const nlohmann::json& json) {
  if (!json.is_object()) return std::nullopt;
  return GpuUsage{.gpus = json.value("gpus", 0),
                  .seconds = json.value("seconds", 0.0),
                  .utilisation = json.value("utilisation", 0.0),
                  .peak_memory_bytes = json.value("peak_memory_bytes", std::int64_t{0}),
                  .energy_joules = json.value("energy_joules", 0.0)};
}

std::string with_output(std::string reason, const std::string& output) {
  return output.empty() ? reason : fmt::format("{}; last output:\n{}", reason, output);
}

}  // namespace

std::string to_json(const Exit& exit) {
  nlohmann::json json = {{"code", exit.code}, {"error", exit.error}, {"cause", name(exit.cause)}};
  if (exit.gpu) json["gpu"] = to_json(*exit.gpu);
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<Exit> exit_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("code") || !json["code"].is_number_integer()) {
    return absl::DataLossError("the exit file is damaged");
  }
  const auto cause = cause_of(json.value("cause", ""));
  if (!cause) return absl::DataLossError("the exit file is damaged");
  return Exit{.code = json["code"].get<int>(),
              .error = json.value("error", ""),
              .cause = *cause,
              .gpu = usage_from_json(json.value("gpu", nlohmann::json()))};
}

std::string to_json(const StopRequest& stop) {
  const bool drain = stop.cause == StopRequest::Cause::kDrain;
  return nlohmann::json{{"cause", drain ? "drain" : "coordinator"}, {"reason", stop.reason}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<StopRequest> stop_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return absl::DataLossError("the stop file is damaged");
  const bool drain = json.value("cause", "") == "drain";
  return StopRequest{drain ? StopRequest::Cause::kDrain : StopRequest::Cause::kCoordinator, json.value("reason", "")};
}

v1::AttemptUpdate describe_end(AttemptId attempt, const Exit& exit, const std::optional<StopRequest>& stop,
                               const std::string& output) {
  v1::AttemptUpdate update;
  update.set_attempt_id(raw(attempt));
  update.set_exit_code(exit.code);
  if (exit.gpu) {
    v1::GpuUsage& gpu = *update.mutable_gpu();
    gpu.set_gpus(static_cast<std::uint32_t>(exit.gpu->gpus));
    gpu.set_seconds(exit.gpu->seconds);
    gpu.set_utilisation(exit.gpu->utilisation);
    gpu.set_peak_memory_bytes(exit.gpu->peak_memory_bytes);
    gpu.set_energy_joules(exit.gpu->energy_joules);
  }
  const bool stopped = exit.cause == Exit::Cause::kStopped || (stop && stop->cause == StopRequest::Cause::kDrain);
  const bool has_spoken = exit.cause == Exit::Cause::kTrainer || exit.cause == Exit::Cause::kStopped;
  const std::string what = exit.error.empty() ? describe_code(exit.code) : exit.error;

  if (stop && stop->cause == StopRequest::Cause::kCoordinator) {
    update.set_state(v1::ATTEMPT_STATE_CANCELLED);
    update.set_reason(stop->reason);
  } else if (has_spoken && exit.code == 0) {
    update.set_state(v1::ATTEMPT_STATE_SUCCEEDED);
  } else if (has_spoken && exit.code == kInterrupted) {
    update.set_state(v1::ATTEMPT_STATE_INTERRUPTED);
    update.set_reason(!exit.error.empty() ? exit.error + "; a checkpoint is saved"
                      : stopped           ? "stopped with its worker, after saving a checkpoint"
                                          : "interrupted, to be resumed");
  } else if (stopped && exit.code != kCannotSucceed && exit.cause != Exit::Cause::kPermanent) {
    update.set_state(v1::ATTEMPT_STATE_INTERRUPTED);
    update.set_reason(exit.cause == Exit::Cause::kStopped ? what : "stopped with its worker: " + what);
  } else {
    update.set_state(v1::ATTEMPT_STATE_FAILED);
    update.set_permanent(exit.cause == Exit::Cause::kPermanent || (has_spoken && exit.code == kCannotSucceed));
    update.set_infrastructure(exit.cause == Exit::Cause::kInfrastructure);
    // Nobody here sent it: on Linux that is most often the kernel, short of memory.
    const bool killed = exit.error.empty() && exit.code == -SIGKILL;
    update.set_reason(with_output(killed ? what + ", perhaps out of memory" : what, output));
  }
  return update;
}

}  // namespace scalelaw::worker
