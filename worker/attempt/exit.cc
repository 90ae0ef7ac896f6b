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

std::string with_output(std::string reason, const std::string& output) {
  return output.empty() ? reason : fmt::format("{}; last output:\n{}", reason, output);
}

}  // namespace

std::string to_json(const Exit& exit) {
  return nlohmann::json{{"code", exit.code},
                        {"error", exit.error},
                        {"permanent", exit.permanent},
                        {"infrastructure", exit.infrastructure},
                        {"orphaned", exit.orphaned}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<Exit> exit_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("code") || !json["code"].is_number_integer()) {
    return absl::DataLossError("the exit file is damaged");
  }
  return Exit{.code = json["code"].get<int>(),
              .error = json.value("error", ""),
              .permanent = json.value("permanent", false),
              .infrastructure = json.value("infrastructure", false),
              .orphaned = json.value("orphaned", false)};
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
  const bool drained = exit.orphaned || (stop && stop->cause == StopRequest::Cause::kDrain);
  const bool said_done = exit.code == 0 && exit.error.empty();

  if (stop && stop->cause == StopRequest::Cause::kCoordinator) {
    update.set_state(v1::ATTEMPT_STATE_CANCELLED);
    update.set_reason(stop->reason);
  } else if (said_done) {
    update.set_state(v1::ATTEMPT_STATE_SUCCEEDED);
  } else if (exit.code == kInterrupted && exit.error.empty()) {
    update.set_state(v1::ATTEMPT_STATE_INTERRUPTED);
    update.set_reason(drained ? "stopped with its worker, after saving a checkpoint" : "interrupted, to be resumed");
  } else if (drained && exit.code != kCannotSucceed && !exit.permanent) {
    update.set_state(v1::ATTEMPT_STATE_INTERRUPTED);
    update.set_reason(
        fmt::format("stopped with its worker: {}", exit.error.empty() ? describe_code(exit.code) : exit.error));
  } else {
    update.set_state(v1::ATTEMPT_STATE_FAILED);
    update.set_permanent(exit.permanent || (exit.error.empty() && exit.code == kCannotSucceed));
    update.set_infrastructure(exit.infrastructure);
    std::string what = exit.error.empty() ? describe_code(exit.code) : exit.error;
    // Nobody here sent it: on Linux that is most often the kernel, short of memory.
    if (exit.error.empty() && exit.code == -SIGKILL) what += ", perhaps out of memory";
    update.set_reason(with_output(std::move(what), output));
  }
  return update;
}

}  // namespace scalelaw::worker
