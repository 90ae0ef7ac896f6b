#include "worker/sources/watcher.h"

#include <sys/inotify.h>
#include <unistd.h>

namespace scalelaw::worker {

Watcher::Watcher() : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

Watcher::~Watcher() {
  if (fd_ >= 0) ::close(fd_);
}

void Watcher::watch(const std::filesystem::path& directory) {
  const int watch = ::inotify_add_watch(fd_, directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO);
  if (watch >= 0) watches_[directory] = watch;
}

void Watcher::forget(const std::filesystem::path& directory) {
  const auto found = watches_.find(directory);
  if (found == watches_.end()) return;
  ::inotify_rm_watch(fd_, found->second);
  watches_.erase(found);
}

void Watcher::clear() {
  char events[16 << 10];
  while (::read(fd_, events, sizeof events) > 0) {
  }
}

}  // namespace scalelaw::worker
