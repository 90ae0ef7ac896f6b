// One server per data directory.
#pragma once

#include <filesystem>

#include <absl/status/statusor.h>

namespace scalelaw::server {

/// Holds DIR/scalelaw.lock until destroyed; the kernel releases it when the process dies, however it dies.
class DirectoryLock {
 public:
  /// ALREADY_EXISTS naming the pid that holds it; PERMISSION_DENIED if the file cannot be made.
  static absl::StatusOr<DirectoryLock> acquire(const std::filesystem::path& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace scalelaw::server
