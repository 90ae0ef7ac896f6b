/// What a worker lets sweeps do on its machine. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

namespace scalelaw::worker {

/// Commands that may be run: words that the command must begin with, each a glob (`*` stops at a slash and at a leading
/// dot, so that no path leads elsewhere; a word that is only `*` is any word).
using AllowedCommands = std::vector<std::vector<std::string>>;

/// `python3 /opt/train/*.py`: words between spaces. INVALID_ARGUMENT if there is none.
absl::StatusOr<std::vector<std::string>> parse_allowed_command(const std::string& text);

bool allows(const AllowedCommands& allowed, const std::vector<std::string>& argv);

/// Limits of each process (setrlimit), by their names there in small letters: `nofile`, `core`, …
using ResourceLimits = std::map<std::string, std::uint64_t>;

/// `fsize=10G`: K, M, G, T are powers of 1024. INVALID_ARGUMENT naming what is unknown.
absl::StatusOr<std::pair<std::string, std::uint64_t>> parse_limit(const std::string& text);
/// Of this process. Async-signal-safe but for the map, which is not changed. False where the system refuses.
bool apply(const ResourceLimits& limits);

}  // namespace scalelaw::worker
