// What `scalelaw` tells its caller.
#pragma once

namespace scalelaw::cli {

enum Exit : int {
  kOk = 0,
  /// The work failed: a sweep that did not succeed, a held-out run that could not be fitted or predicted.
  kFailed = 1,
  /// Usage, a wrong file, something asked for that is not there.
  kBadInput = 2,
  /// No server answered.
  kUnreachable = 3,
  /// Stopped by Ctrl-C; whatever was submitted goes on.
  kInterrupted = 130,
};

/// For the end of every `--help`.
inline constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 the work failed, 2 bad usage or input, 3 no server answered, 130 stopped by Ctrl-C.";

}  // namespace scalelaw::cli
