/// Tells when something happens in a directory (inotify), so that nobody polls.
#pragma once

#include <filesystem>
#include <map>

namespace scalelaw::worker {

/// Where the kernel gives no watch (limits, exotic filesystems), nothing is told and the owner's slow poll must do.
class Watcher {
 public:
  Watcher();
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// Readable when something happened; -1 if there is none.
  int descriptor() const { return fd_; }
  /// Files in this directory that are written, created or renamed.
  void watch(const std::filesystem::path& directory);
  void forget(const std::filesystem::path& directory);
  /// Takes what has happened so far; what it was does not matter.
  void clear();

 private:
  int fd_;
  std::map<std::filesystem::path, int> watches_;
};

}  // namespace scalelaw::worker
