/// The worker's sign of life to the supervisors of its trainers: a file with a deadline that it keeps moving.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>

#include <absl/status/status.h>

namespace scalelaw::worker {

/// Time that does not jump and stands still while the machine sleeps, so that a laptop's lid kills nothing. Comparable
/// between processes of one boot.
using LeaseClock = std::chrono::steady_clock;

/// Moves the deadline. In place and of fixed length: needs no space on a full disk.
absl::Status write_lease(const std::filesystem::path& file, LeaseClock::time_point deadline);

/// The deadline; nothing if the file is missing, damaged or of an earlier boot.
std::optional<LeaseClock::time_point> read_lease(const std::filesystem::path& file);

}  // namespace scalelaw::worker
