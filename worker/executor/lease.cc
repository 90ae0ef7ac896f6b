#include "worker/executor/lease.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "worker/attempt/files.h"
#include "worker/executor/process_table.h"

namespace scalelaw::worker {

using std::chrono::milliseconds;

absl::Status write_lease(const std::filesystem::path& file, LeaseClock::time_point deadline) {
  const auto since_boot = std::chrono::duration_cast<milliseconds>(deadline.time_since_epoch());
  const std::string line = fmt::format("{:020} {:36}\n", since_boot.count(), boot_id());
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(errno, fmt::format("cannot write {}", file.string()));
  const ssize_t written = ::pwrite(fd, line.data(), line.size(), 0);
  const int error = written < 0 ? errno : ENOSPC;
  ::close(fd);
  if (written == static_cast<ssize_t>(line.size())) return absl::OkStatus();
  return system_error(error, fmt::format("cannot write {}", file.string()));
}

std::optional<LeaseClock::time_point> read_lease(const std::filesystem::path& file) {
  const auto content = read_file(file);
  if (!content.ok()) return std::nullopt;
  long long deadline = 0;
  char boot[37] = {};
  if (std::sscanf(content->c_str(), "%lld %36s", &deadline, boot) != 2 || boot != boot_id()) return std::nullopt;
  return LeaseClock::time_point(milliseconds(deadline));
}

}  // namespace scalelaw::worker
