/// One file that a trainer appends to, delivered as batches of records.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "scalelaw/v1/workers.pb.h"
#include "worker/ids.h"
#include "worker/sources/cursor.h"
#include "worker/sources/rate_limit.h"

namespace scalelaw::worker {

/// Tails a file by byte offset. The file is the spool: nothing is kept in memory but offsets, so a worker that restarts
/// goes on from what the coordinator has committed. Not thread-safe.
class Source {
 public:
  using Time = RateLimit::Time;
  struct Kind;
  /// The event file of the trainer protocol; relative paths in it are relative to `run_directory`.
  static Source events(AttemptId attempt, std::filesystem::path file, std::string run_directory);
  /// Standard output and error.
  static Source output(AttemptId attempt, std::filesystem::path file);

  Source(Source&&) noexcept;
  Source& operator=(Source&&) noexcept;
  ~Source();

  /// The next batch to send, marked as on its way; nothing if all is sent, the last line is unfinished, enough batches
  /// are on their way, or the trainer writes faster than its share. `ended`: nothing will be appended any more.
  std::optional<v1::RecordBatch> next(Time now, bool ended);
  /// There is more to send, but not now: ask again in a while.
  bool held_back() const { return held_back_; }

  void acknowledged(std::int64_t offset);
  void restart(std::int64_t committed) { cursor_.restart(committed); }
  /// Everything in the file is committed. Only for a trainer that has ended.
  bool delivered();
  /// The offset behind the last committed byte.
  std::int64_t committed() const { return cursor_.committed(); }

 private:
  Source(AttemptId attempt, std::filesystem::path file, const Kind& kind, std::string run_directory);

  bool open();
  std::int64_t size();
  std::string read(std::int64_t offset, std::int64_t length);
  std::int64_t fill_events(v1::RecordBatch& batch, std::int64_t length, bool ended);
  std::int64_t fill_output(v1::RecordBatch& batch, std::int64_t length, bool ended);
  void release_committed();

  AttemptId attempt_;
  std::filesystem::path file_;
  const Kind* kind_;
  std::string run_directory_;
  DeliveryCursor cursor_;
  RateLimit rate_;
  Time last_batch_{};
  bool held_back_ = false;
  int fd_ = -1;
  // Disk space before this byte was given back.
  std::int64_t released_ = 0;
};

/// The last lines of a file: at most `lines` of them and `bytes` in all, as UTF-8. Empty if there is none.
std::string last_lines(const std::filesystem::path& file, int lines, std::int64_t bytes);

}  // namespace scalelaw::worker
