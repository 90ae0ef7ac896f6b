#include "server/store/writer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace scalelaw::server {

namespace {
constexpr size_t kMaxGroup = 1024;
constexpr std::chrono::milliseconds kRetryInterval{200};
}  // namespace

Writer::Writer(std::unique_ptr<Connection> connection, std::filesystem::path file, std::function<void()> rolled_back)
    : connection_(std::move(connection)),
      file_(std::move(file)),
      rolled_back_(std::move(rolled_back)),
      thread_([this] { loop(); }) {}

void Writer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Writer::enqueue(Transaction work, Committed committed) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_) {
      queue_.push_back({.work = std::move(work), .committed = std::move(committed), .result = absl::OkStatus()});
      changed_.notify_one();
      return;
    }
  }
  if (committed) committed(absl::UnavailableError("not stored: the server is stopping"));
}

Backlog Writer::backlog() const {
  const std::lock_guard lock(mutex_);
  const size_t waiting = committing_ + queue_.size();
  if (waiting == 0) return {};
  const auto oldest = committing_ > 0 ? committing_since_ : queue_.front().queued;
  return {waiting, std::chrono::duration<double>(std::chrono::steady_clock::now() - oldest).count()};
}

absl::Status Writer::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

void Writer::set_health(absl::Status status) {
  const std::lock_guard lock(mutex_);
  if (status.ok() && !health_.ok()) spdlog::info("the database accepts writes again");
  if (!status.ok() && status != health_) {
    spdlog::error("nothing can be stored at present, waiting: {}", std::string(status.message()));
  }
  health_ = std::move(status);
}

void Writer::loop() {
  for (;;) {
    std::vector<Job> group = next_group();
    if (group.empty()) return;
    commit(group);
    {
      const std::lock_guard lock(mutex_);
      committing_ = 0;
    }
    for (Job& job : group) {
      if (job.committed) job.committed(std::move(job.result));
    }
  }
}

std::vector<Writer::Job> Writer::next_group() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  std::vector<Job> group;
  const size_t size = std::min(queue_.size(), kMaxGroup);
  group.reserve(size);
  for (size_t i = 0; i < size; ++i) {
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  stopped_ = group.empty();
  committing_ = group.size();
  if (!group.empty()) committing_since_ = group.front().queued;
  return group;
}

void Writer::commit(std::vector<Job>& group) {
  for (;;) {
    const absl::Status status = try_commit(group);
    if (status.ok()) {
      commits_.fetch_add(1, std::memory_order_release);
      set_health(absl::OkStatus());
      return;
    }
    rolled_back_();
    set_health(status);
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kRetryInterval, [this] { return stopping_; })) {
      for (Job& job : group) {
        job.result = absl::UnavailableError(
            fmt::format("not stored, the server is stopping: {}", std::string(status.message())));
      }
      return;
    }
  }
}

absl::Status Writer::try_commit(std::vector<Job>& group) {
  try {
    connection_->run("BEGIN IMMEDIATE");
    for (Job& job : group) run_in_savepoint(job);
    connection_->run("COMMIT");
    return absl::OkStatus();
  } catch (const SQLite::Exception& error) {
    const absl::Status status = to_status(error, file_);
    try {
      if (connection_->in_transaction()) connection_->run("ROLLBACK");
    } catch (const SQLite::Exception& again) {
      spdlog::error("rollback: {}", again.what());
    }
    return status;
  }
}

// Errors that concern only this transaction stay here; those that may pass go up and undo the whole group.
void Writer::run_in_savepoint(Job& job) {
  connection_->run("SAVEPOINT job");
  try {
    job.result = job.work(*connection_);
  } catch (const SQLite::Exception& error) {
    if (may_pass(error) || !connection_->in_transaction()) throw;
    job.result = to_status(error, file_);
  }
  if (!job.result.ok()) {
    connection_->run("ROLLBACK TO job");
    rolled_back_();
  }
  connection_->run("RELEASE job");
}

}  // namespace scalelaw::server
