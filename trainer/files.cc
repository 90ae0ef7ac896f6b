#include "trainer/files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace scalelaw::trainer {
namespace {

[[noreturn]] void fail(const std::string& path) {
  throw WriteError(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

void write_file(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".part";
  int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) fail(temporary);
  bool complete = write_all(descriptor, bytes) && ::fsync(descriptor) == 0;
  int cause = errno;
  ::close(descriptor);
  if (!complete || ::rename(temporary.c_str(), path.c_str()) != 0) {
    if (complete) cause = errno;
    ::unlink(temporary.c_str());
    errno = cause;
    fail(path);
  }
  std::string folder = std::filesystem::path(path).parent_path().string();
  int handle = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle >= 0) {
    ::fsync(handle);
    ::close(handle);
  }
}

LineFile::LineFile(const std::string& path)
    : path_(path), descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) fail(path_);
  // A process that was killed in the middle of a line left it open: end it, so that the next one stands alone.
  int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char last = '\n';
  if (reader >= 0 && ::lseek(reader, -1, SEEK_END) >= 0 && ::read(reader, &last, 1) == 1 && last != '\n') append("");
  if (reader >= 0) ::close(reader);
}

LineFile::~LineFile() {
  ::close(descriptor_);
}

void LineFile::append(std::string_view line) {
  off_t before = ::lseek(descriptor_, 0, SEEK_END);
  std::string text(line);
  text += '\n';
  if (write_all(descriptor_, text)) return;
  int cause = errno;
  if (before >= 0) (void)!::ftruncate(descriptor_, before);
  errno = cause;
  fail(path_);
}

}  // namespace scalelaw::trainer
