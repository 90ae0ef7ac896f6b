#include "worker/attempt/files.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <utility>

#include <fmt/format.h>

namespace scalelaw::worker {
namespace {

// Locks of the open file description: they die with the last descriptor, never with an unrelated close().
struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

absl::Status write_all(int fd, const std::string& content, const std::filesystem::path& file) {
  for (std::size_t written = 0; written < content.size();) {
    const ssize_t n = ::write(fd, content.data() + written, content.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(errno, fmt::format("cannot write {}", file.string()));
    written += static_cast<std::size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status system_error(int error, const std::string& what) {
  const std::string message = fmt::format("{}: {}", what, ::strerror(error));
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(message);
  return error == ENOENT ? absl::NotFoundError(message) : absl::UnknownError(message);
}

absl::StatusOr<std::string> read_file(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error(errno, fmt::format("cannot read {}", file.string()));
  std::string content;
  char buffer[4096];
  ssize_t n = 0;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
    if (n > 0) content.append(buffer, static_cast<std::size_t>(n));
  }
  const int error = errno;
  ::close(fd);
  if (n < 0) return system_error(error, fmt::format("cannot read {}", file.string()));
  return content;
}

absl::Status write_file(const std::filesystem::path& file, const std::string& content) {
  std::filesystem::path temporary = file;
  temporary += ".tmp";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(errno, fmt::format("cannot write {}", temporary.string()));
  absl::Status status = write_all(fd, content, temporary);
  if (::close(fd) != 0 && status.ok()) status = system_error(errno, fmt::format("cannot write {}", temporary.string()));
  if (status.ok() && ::rename(temporary.c_str(), file.c_str()) != 0) {
    status = system_error(errno, fmt::format("cannot write {}", file.string()));
  }
  if (!status.ok()) ::unlink(temporary.c_str());
  return status;
}

absl::StatusOr<FileLock> FileLock::take(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(errno, fmt::format("cannot open {}", file.string()));
  struct flock lock = whole_file();
  if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) return FileLock(fd);
  const int error = errno;
  ::close(fd);
  if (error == EAGAIN || error == EACCES) return absl::FailedPreconditionError(file.string() + " is locked");
  return system_error(error, fmt::format("cannot lock {}", file.string()));
}

bool FileLock::held(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  struct flock lock = whole_file();
  const bool held = ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  return held;
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace scalelaw::worker
