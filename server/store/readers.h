// Read-only connections, shared by the threads that ask.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <absl/status/statusor.h>

#include "server/store/connection.h"

namespace scalelaw::server {

class Readers {
 public:
  explicit Readers(std::filesystem::path file) : file_(std::move(file)) {}

  /// Runs `query(connection)`, which returns a StatusOr, inside one read transaction: all it reads is of one moment.
  template <class Function>
  auto read(Function query) -> decltype(query(std::declval<Connection&>())) {
    try {
      std::unique_ptr<Connection> connection = take();
      connection->run("BEGIN");
      auto result = query(*connection);
      connection->run("COMMIT");
      give_back(std::move(connection));
      return result;
    } catch (const SQLite::Exception& error) {
      return to_status(error, file_);
    }
  }

 private:
  std::unique_ptr<Connection> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Connection> connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
    }
    auto connection = std::make_unique<Connection>(file_, Connection::Access::kReadOnly);
    // 32 MiB: the inner pages of the points' index stay at hand for plots of many runs.
    connection->script("PRAGMA cache_size = -32768");
    return connection;
  }
  void give_back(std::unique_ptr<Connection> connection) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
  }

  const std::filesystem::path file_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace scalelaw::server
