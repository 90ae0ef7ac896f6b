/// Small files that must be whole or absent, and locks that die with their holder.
#pragma once

#include <filesystem>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

namespace scalelaw::worker {

/// Errors name the file. NOT_FOUND where there is none, else UNKNOWN with the system's words.
absl::StatusOr<std::string> read_file(const std::filesystem::path& file);

/// Writes beside the file, then renames. RESOURCE_EXHAUSTED on a full disk.
absl::Status write_file(const std::filesystem::path& file, const std::string& content);

/// An error of the system as a status: `what`, the errno's text, RESOURCE_EXHAUSTED for a full disk.
absl::Status system_error(int error, const std::string& what);

/// A lock on a file, held until the process ends or the object does; not inherited by programs it starts.
class FileLock {
 public:
  /// Takes the lock, or says FAILED_PRECONDITION at once if another process has it. Creates the file.
  static absl::StatusOr<FileLock> take(const std::filesystem::path& file);
  /// Whether any process holds it; looking does not disturb one that is about to take it.
  static bool held(const std::filesystem::path& file);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();
  int descriptor() const { return fd_; }

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace scalelaw::worker
