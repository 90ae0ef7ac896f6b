#include "worker/work_dir.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <random>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace scalelaw::worker {
namespace {

namespace fs = std::filesystem;

// Less than this is not worth starting a trainer with.
constexpr std::int64_t kLeastFreeBytes = 16 << 20;

// In a run's directory: the number of its last attempt here.
constexpr const char* kLastAttempt = "attempt";

absl::Status make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  return error ? system_error(error.value(), fmt::format("cannot make {}", path.string())) : absl::OkStatus();
}

absl::Status move(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  return error ? system_error(error.value(), fmt::format("cannot rename {} to {}", from.string(), to.string()))
               : absl::OkStatus();
}

std::string random_uid() {
  std::random_device random;
  std::string uid;
  for (int i = 0; i < 4; ++i) uid += fmt::format("{:08x}", random());
  return uid;
}

absl::StatusOr<std::string> read_or_make_uid(const fs::path& file) {
  if (auto uid = read_file(file); uid.ok() && uid->size() >= 32) return uid->substr(0, 32);
  const std::string uid = random_uid();
  if (const absl::Status written = write_file(file, uid + "\n"); !written.ok()) return written;
  return uid;
}

// The id that a directory is named for; nothing for others.
std::optional<AttemptId> attempt_id(const fs::path& path) {
  const std::string name = path.filename();
  std::int64_t id = 0;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (problem != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return AttemptId{id};
}

}  // namespace

absl::StatusOr<WorkDir> WorkDir::open(const fs::path& given) {
  const fs::path path = fs::absolute(given).lexically_normal();
  for (const char* part : {"attempts", "runs", "done"}) {
    if (const absl::Status made = make_directories(path / part); !made.ok()) return made;
  }
  auto lock = FileLock::take(path / "worker.lock");
  if (!lock.ok()) {
    if (lock.status().code() != absl::StatusCode::kFailedPrecondition) return lock.status();
    return absl::FailedPreconditionError(
        fmt::format("another scalelaw-worker uses {}; give this one its own --work-dir", path.string()));
  }
  auto uid = read_or_make_uid(path / "worker_uid");
  if (!uid.ok()) return uid.status();
  return WorkDir(path, *std::move(lock), *std::move(uid));
}

std::vector<AttemptDir> WorkDir::attempts() const {
  std::vector<std::pair<AttemptId, AttemptDir>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_ / "attempts", error)) {
    if (const auto id = attempt_id(entry.path())) {
      found.emplace_back(*id, AttemptDir{entry.path()});
    } else {
      fs::remove_all(entry.path(), error);  // One that was being prepared.
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<AttemptDir> directories;
  for (auto& [id, directory] : found) directories.push_back(std::move(directory));
  return directories;
}

absl::Status WorkDir::prepare(const v1::Assignment& assignment, const Launch& launch) const {
  if (const std::int64_t free = free_bytes(); free < kLeastFreeBytes) {
    return absl::ResourceExhaustedError(
        fmt::format("the disk of {} is full: {} KiB left, at least {} KiB needed to start", path_.string(), free >> 10,
                    kLeastFreeBytes >> 10));
  }
  if (const absl::Status made = prepare_run_directory(launch); !made.ok()) return made;

  const AttemptDir attempt{path_ / "attempts" / (text(launch.attempt) + ".new")};
  absl::Status status = make_directories(attempt.path);
  if (status.ok()) status = write_file(attempt.spec(), trainer_spec(assignment));
  if (status.ok()) status = write_file(attempt.launch(), to_json(launch));
  // The trainer may only append; a program that never does must not make readers wait for the file.
  if (status.ok()) status = write_file(attempt.events(), "");
  if (status.ok()) status = move(attempt.path, this->attempt(launch.attempt).path);
  if (!status.ok()) {
    std::error_code ignored;
    fs::remove_all(attempt.path, ignored);
  }
  return status;
}

absl::Status WorkDir::prepare_run_directory(const Launch& launch) const {
  const fs::path& directory = launch.run_directory;
  const fs::path identity = directory / "run.json";
  std::error_code error;
  if (fs::exists(directory, error)) {
    // A first attempt finds nothing, and a later one its own. Anything else is left from another coordinator, whose
    // checkpoints this run must not resume from.
    const auto found = read_file(identity);
    if (launch.attempt_number <= 1 || !found.ok() || *found != launch.run_fingerprint) {
      const fs::path stale = path_ / "stale" / fmt::format("{}-{}", text(launch.run), random_uid().substr(0, 8));
      spdlog::warn("{} belongs to another run; moved to {}", directory.string(), stale.string());
      absl::Status moved = make_directories(stale.parent_path());
      if (moved.ok()) moved = move(directory, stale);
      if (!moved.ok()) return moved;
    }
  }
  // After an attempt elsewhere the stored curve is that attempt's: to go on from what is here would leave a gap in it.
  const fs::path checkpoints = directory / "checkpoints";
  const fs::path last = directory / kLastAttempt;
  const bool is_shared = !launch.checkpoints.empty() && launch.checkpoints != checkpoints;
  const auto last_here = read_file(last);
  if (!is_shared && last_here.value_or("") != std::to_string(launch.attempt_number - 1)) {
    fs::remove_all(checkpoints, error);
  }
  if (const absl::Status made = make_directories(checkpoints); !made.ok()) return made;
  // Those that are shared: what a run finds at its first attempt is of an earlier life of the coordinator's database.
  if (!launch.checkpoints.empty() && launch.attempt_number <= 1) fs::remove_all(launch.checkpoints, error);
  if (const absl::Status made = make_directories(launch.checkpoints.empty() ? directory : launch.checkpoints);
      !made.ok()) {
    return made;
  }
  const absl::Status written = write_file(last, std::to_string(launch.attempt_number));
  return written.ok() ? write_file(identity, launch.run_fingerprint) : written;
}

void WorkDir::begin_again(RunId run) const {
  std::error_code ignored;
  fs::remove(run_directory(run) / kLastAttempt, ignored);
}

void WorkDir::done(const AttemptDir& attempt) const {
  std::error_code error;
  const fs::path target = path_ / "done" / attempt.path.filename();
  fs::remove_all(target, error);
  fs::rename(attempt.path, target, error);
  fs::last_write_time(target, fs::file_time_type::clock::now(), error);
}

void WorkDir::remove_done(std::chrono::seconds older_than) const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_ / "done", error)) {
    const auto age = fs::file_time_type::clock::now() - entry.last_write_time(error);
    if (!error && age >= older_than) fs::remove_all(entry.path(), error);
  }
}

std::int64_t WorkDir::free_bytes() const {
  std::error_code error;
  const fs::space_info space = fs::space(path_, error);
  return error ? 0 : static_cast<std::int64_t>(space.available);
}

}  // namespace scalelaw::worker
