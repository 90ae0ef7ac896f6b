#include <cmath>
#include <filesystem>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "adapter/event_file.h"
#include "cli/csv_table.h"
#include "cli/imports/foreign_run.h"

namespace scalelaw::cli {
namespace {

namespace fs = std::filesystem;

absl::Status read_file(const fs::path& path, ForeignRun& run) {
  const absl::StatusOr<std::string> bytes = read_text(path.string());
  if (!bytes.ok()) return bytes.status();
  std::string_view rest(*bytes);
  while (true) {
    tensorboard::Event event;
    const absl::StatusOr<bool> more = adapter::next_event(rest, event, path.string());
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
    if (!run.started || event.wall_time() < *run.started) run.started = event.wall_time();
    if (!run.finished || event.wall_time() > *run.finished) run.finished = event.wall_time();
    for (const tensorboard::Summary::Value& value : event.summary().value()) {
      const std::optional<double> number = adapter::scalar(value);
      if (number && std::isfinite(*number) && event.step() >= 0) run.curves[value.tag()][event.step()] = *number;
    }
  }
}

}  // namespace

absl::StatusOr<ForeignRuns> read_tensorboard_runs(const ForeignSource& source) {
  std::error_code error;
  if (!fs::exists(source.path, error)) return absl::NotFoundError(source.path + ": there is no such folder");
  std::map<std::string, std::set<fs::path>> files;
  if (fs::is_directory(source.path)) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(source.path))
      if (entry.is_regular_file() && adapter::is_event_file(entry.path().filename().string()))
        files[fs::relative(entry.path().parent_path(), source.path).string()].insert(entry.path());
  } else {
    files[fs::path(source.path).stem().string()].insert(source.path);
  }
  if (files.empty())
    return absl::InvalidArgumentError(
        fmt::format("{}: holds no event files (events.out.tfevents.…), nor do its folders", source.path));
  ForeignRuns result;
  for (const auto& [name, paths] : files) {
    ForeignRun& run = result.runs.emplace_back();
    run.key = run.name = name;
    // By name, which is by time: what a resumed run logs again replaces what it had logged.
    for (const fs::path& path : paths)
      if (absl::Status status = read_file(path, run); !status.ok()) return status;
  }
  return result;
}

}  // namespace scalelaw::cli
