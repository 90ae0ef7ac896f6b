#include "server/store/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
std::string read_pid(int descriptor) {
  char text[32] = {};
  const ssize_t length = pread(descriptor, text, sizeof text - 1, 0);
  std::string pid(text, length > 0 ? static_cast<size_t>(length) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.empty() ? "unknown" : pid;
}
}  // namespace

absl::StatusOr<DirectoryLock> DirectoryLock::acquire(const std::filesystem::path& directory) {
  const std::string file = (directory / "scalelaw.lock").string();
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return absl::PermissionDeniedError(fmt::format("{} cannot be written: {}", file, std::strerror(errno)));
  }
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const std::string pid = read_pid(descriptor);
    close(descriptor);
    return absl::AlreadyExistsError(
        fmt::format("{} is in use by another scalelaw-server (pid {}): stop it, or name another directory with --data",
                    directory.string(), pid));
  }
  // The pid is only a courtesy for the message above; the lock holds without it, even on a full disk.
  const std::string pid = fmt::format("{}\n", getpid());
  if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, pid.data(), pid.size(), 0) < 0) errno = 0;
  return DirectoryLock(descriptor);
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace scalelaw::server
