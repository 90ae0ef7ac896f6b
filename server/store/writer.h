// The one thread that writes: commits queued transactions in groups.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <absl/status/status.h>

#include "server/store/connection.h"
#include "server/store/store.h"

namespace scalelaw::server {

/// Transactions are committed in the order of `enqueue`, as many at once as are waiting, each in a savepoint of its
/// own: one that fails is rolled back alone. When the disk is full (or its like, see `may_pass`) the whole group is
/// rolled back and tried again until it succeeds, so a transaction may run several times before its callback.
class Writer {
 public:
  /// Runs on the writer thread. May throw SQLite::Exception; an error rolls the transaction back.
  using Transaction = std::function<absl::Status(Connection&)>;
  /// Runs on the writer thread after the COMMIT, with the transaction's status.
  using Committed = std::function<void(absl::Status)>;

  /// `rolled_back` is called when work that had returned OK was undone: caches of the transactions are stale.
  Writer(std::unique_ptr<Connection> connection, std::filesystem::path file, std::function<void()> rolled_back);
  ~Writer() { stop(); }

  /// Commits what is queued, then ends the thread; what cannot be committed now is reported as UNAVAILABLE to its
  /// callback, and so is everything that is queued later.
  void stop();

  void enqueue(Transaction work, Committed committed);
  /// Why nothing can be committed at present, or OK.
  absl::Status health() const;
  /// Transactions that wait or are being committed, and the seconds since the oldest of them was queued.
  Backlog backlog() const;
  uint64_t commits() const { return commits_.load(std::memory_order_acquire); }

 private:
  struct Job {
    Transaction work;
    Committed committed;
    absl::Status result;
    std::chrono::steady_clock::time_point queued = std::chrono::steady_clock::now();
  };
  void loop();
  std::vector<Job> next_group();
  void commit(std::vector<Job>& group);
  absl::Status try_commit(std::vector<Job>& group);
  void run_in_savepoint(Job& job);
  void set_health(absl::Status status);

  std::unique_ptr<Connection> connection_;
  const std::filesystem::path file_;
  const std::function<void()> rolled_back_;
  std::atomic<uint64_t> commits_{0};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> queue_;
  // The group that is being committed.
  size_t committing_ = 0;
  std::chrono::steady_clock::time_point committing_since_;
  bool stopping_ = false;
  bool stopped_ = false;
  absl::Status health_;
  std::thread thread_;
};

}  // namespace scalelaw::server
