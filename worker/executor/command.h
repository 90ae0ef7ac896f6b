/// A program that is run for its output.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <absl/status/statusor.h>

namespace scalelaw::worker {

struct CommandResult {
  int exit_code = 0;
  std::string output;
  std::string errors;
};

/// Runs argv[0], looked for in PATH, with `input` as its standard input, and waits for its end. `unset`: variables that
/// begin so are kept from it. NOT_FOUND if there is no such program; DEADLINE_EXCEEDED if it took longer than `limit`:
/// it is killed then, and what it did is unknown. It does not outlive the
/// thread that called.
absl::StatusOr<CommandResult> run_command(const std::vector<std::string>& argv, const std::string& input,
                                          std::chrono::seconds limit, const std::vector<std::string>& unset = {});

}  // namespace scalelaw::worker
