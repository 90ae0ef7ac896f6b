#include "server/access/audit.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include <fmt/chrono.h>
#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

namespace scalelaw::server {

std::string to_json_line(const AuditEntry& entry, int64_t now_ms) {
  const std::time_t seconds = now_ms / 1000;
  nlohmann::ordered_json json = {
      {"time", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), now_ms % 1000)},
      {"method", entry.method}};
  if (entry.caller) {
    json["owner"] = entry.caller->owner;
    json["role"] = name(entry.caller->role);
    json["token"] = entry.caller->token_id;
  }
  if (!entry.peer.empty()) json["peer"] = entry.peer;
  if (!entry.request.empty()) json["request"] = nlohmann::json::parse(entry.request, nullptr, false);
  json["result"] = absl::StatusCodeToString(entry.result.code());
  if (!entry.result.ok()) json["message"] = std::string(entry.result.message());
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void AuditLog::write(const AuditEntry& entry) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::string line = to_json_line(entry, std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  const std::lock_guard lock(mutex_);
  const int fd = ::open(file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  const bool written = fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (!written) spdlog::error("{} cannot be written ({}): {}", file_.string(), std::strerror(errno), line);
  if (fd >= 0) ::close(fd);
}

}  // namespace scalelaw::server
