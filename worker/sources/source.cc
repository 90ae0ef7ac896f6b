#include "worker/sources/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "worker/sources/event_parser.h"
#include "worker/sources/utf8.h"

namespace scalelaw::worker {

using namespace std::chrono_literals;

struct Source::Kind {
  v1::RecordSource source;
  // Per trainer. Far above what training needs, far below what would starve others.
  double bytes_per_second;
  double burst_bytes;
  // Small writes within this time travel together.
  std::chrono::milliseconds gather;
};

namespace {

constexpr std::int64_t kBatchBytes = 256 << 10;
constexpr std::size_t kBatchesInFlight = 4;
// Of output that has run ahead this far, only the end is still worth having.
constexpr std::int64_t kMaxOutputBacklog = 64 << 20;
constexpr std::int64_t kKeptOutputBacklog = 1 << 20;
constexpr std::size_t kOutputChunk = 32 << 10;
// Disk space of delivered output is given back in steps of this; the end stays for the reason of a failure.
constexpr std::int64_t kReleaseStep = 16 << 20;
constexpr std::int64_t kKeptDelivered = 64 << 10;

const Source::Kind kEvents{v1::RECORD_SOURCE_EVENTS, 16 << 20, 32 << 20, 0ms};
const Source::Kind kOutput{v1::RECORD_SOURCE_OUTPUT, 4 << 20, 8 << 20, 200ms};

std::string read_at(int fd, std::int64_t offset, std::int64_t length) {
  std::string bytes(static_cast<std::size_t>(std::max<std::int64_t>(0, length)), '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t n = ::pread(fd, bytes.data() + filled, bytes.size() - filled, offset + static_cast<off_t>(filled));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    filled += static_cast<std::size_t>(n);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace

Source Source::events(AttemptId attempt, std::filesystem::path file, std::string run_directory) {
  return {attempt, std::move(file), kEvents, std::move(run_directory)};
}
Source Source::output(AttemptId attempt, std::filesystem::path file) {
  return {attempt, std::move(file), kOutput, ""};
}

Source::Source(AttemptId attempt, std::filesystem::path file, const Kind& kind, std::string run_directory)
    : attempt_(attempt),
      file_(std::move(file)),
      kind_(&kind),
      run_directory_(std::move(run_directory)),
      rate_(kind.bytes_per_second, kind.burst_bytes) {}

Source::Source(Source&& other) noexcept
    : attempt_(other.attempt_),
      file_(std::move(other.file_)),
      kind_(other.kind_),
      run_directory_(std::move(other.run_directory_)),
      cursor_(std::move(other.cursor_)),
      rate_(other.rate_),
      last_batch_(other.last_batch_),
      held_back_(other.held_back_),
      fd_(std::exchange(other.fd_, -1)),
      released_(other.released_) {}

Source& Source::operator=(Source&& other) noexcept {
  std::swap(fd_, other.fd_);
  attempt_ = other.attempt_;
  file_ = std::move(other.file_);
  kind_ = other.kind_;
  run_directory_ = std::move(other.run_directory_);
  cursor_ = std::move(other.cursor_);
  rate_ = other.rate_;
  last_batch_ = other.last_batch_;
  held_back_ = other.held_back_;
  released_ = other.released_;
  return *this;
}

Source::~Source() {
  if (fd_ >= 0) ::close(fd_);
}

bool Source::open() {
  // Writable only to give space back; a reader is enough for everything else.
  if (fd_ < 0) fd_ = ::open(file_.c_str(), O_RDWR | O_CLOEXEC);
  if (fd_ < 0) fd_ = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
  return fd_ >= 0;
}

std::int64_t Source::size() {
  struct stat status {};
  return open() && ::fstat(fd_, &status) == 0 ? status.st_size : 0;
}

std::string Source::read(std::int64_t offset, std::int64_t length) {
  return read_at(fd_, offset, length);
}

std::optional<v1::RecordBatch> Source::next(Time now, bool ended) {
  held_back_ = false;
  const std::int64_t waiting = size() - cursor_.next();
  if (waiting <= 0 || cursor_.in_flight() >= kBatchesInFlight) return std::nullopt;
  const bool gathering = !ended && waiting < kBatchBytes && now - last_batch_ < kind_->gather;
  if (gathering || rate_.available(now) <= 0) {
    held_back_ = true;
    return std::nullopt;
  }

  v1::RecordBatch batch;
  batch.set_attempt_id(raw(attempt_));
  batch.set_source(kind_->source);
  batch.set_begin(cursor_.next());
  const std::int64_t used = kind_ == &kEvents ? fill_events(batch, waiting, ended) : fill_output(batch, waiting, ended);
  if (used == 0) return std::nullopt;
  batch.set_end(batch.begin() + used);
  cursor_.sent(batch.end());
  rate_.take(used);
  last_batch_ = now;
  return batch;
}

std::int64_t Source::fill_events(v1::RecordBatch& batch, std::int64_t length, bool ended) {
  // The byte before tells whether a worker before us stopped inside a line that is too long.
  EventContext context{.run_directory = run_directory_};
  context.mid_line = batch.begin() > 0 && read(batch.begin() - 1, 1) != "\n";
  for (const std::int64_t limit : {kBatchBytes, static_cast<std::int64_t>(kMaxEventLine) + 1}) {
    const std::string bytes = read(batch.begin(), std::min(length, limit));
    context.at_end = ended && static_cast<std::int64_t>(bytes.size()) == length;
    ParsedRecords parsed = parse_events(bytes, context);
    if (parsed.consumed == 0) continue;
    for (v1::Record& record : parsed.records) *batch.add_records() = std::move(record);
    return static_cast<std::int64_t>(parsed.consumed);
  }
  return 0;
}

std::int64_t Source::fill_output(v1::RecordBatch& batch, std::int64_t length, bool ended) {
  if (length > kMaxOutputBacklog) {
    const std::int64_t skipped = length - kKeptOutputBacklog;
    batch.add_records()->set_output(
        fmt::format("\n[… {} bytes of output left out: written faster than they can be kept …]\n", skipped));
    return skipped;
  }
  const std::string bytes = read(batch.begin(), std::min(length, kBatchBytes));
  const bool all = ended && static_cast<std::int64_t>(bytes.size()) == length;
  std::string_view rest(bytes);
  if (!all) rest.remove_suffix(unfinished_tail(rest));
  const auto used = static_cast<std::int64_t>(rest.size());
  while (!rest.empty()) {
    std::string_view chunk = rest.substr(0, kOutputChunk);
    if (chunk.size() < rest.size()) {
      const std::size_t newline = chunk.rfind('\n');
      if (newline != std::string_view::npos)
        chunk = chunk.substr(0, newline + 1);
      else
        chunk.remove_suffix(unfinished_tail(chunk));
    }
    batch.add_records()->set_output(sanitize_utf8(chunk));
    rest.remove_prefix(chunk.size());
  }
  return used;
}

void Source::acknowledged(std::int64_t offset) {
  cursor_.acknowledged(offset);
  if (kind_ == &kOutput) release_committed();
}

void Source::release_committed() {
  const std::int64_t until = cursor_.committed() - kKeptDelivered;
  if (until - released_ < kReleaseStep || !open()) return;
  // Where the filesystem cannot, the space comes back with the directory.
  ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, released_, until - released_);
  released_ = until;
}

bool Source::delivered() {
  return cursor_.in_flight() == 0 && cursor_.committed() >= size();
}

std::string last_lines(const std::filesystem::path& file, int lines, std::int64_t bytes) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  struct stat status {};
  const std::int64_t size = ::fstat(fd, &status) == 0 ? status.st_size : 0;
  const std::string end = read_at(fd, std::max<std::int64_t>(0, size - bytes), std::min(size, bytes));
  ::close(fd);

  std::string_view rest(end);
  while (!rest.empty() && (rest.back() == '\n' || rest.back() == ' ')) rest.remove_suffix(1);
  std::size_t begin = rest.size();
  for (int i = 0; i < lines && begin != 0 && begin != std::string_view::npos; ++i) begin = rest.rfind('\n', begin - 1);
  if (begin < rest.size() && rest[begin] == '\n') rest.remove_prefix(begin + 1);
  return sanitize_utf8(rest);
}

}  // namespace scalelaw::worker
