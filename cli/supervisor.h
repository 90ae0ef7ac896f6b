// Keeps a few programs running as children of this one.
#pragma once

#include <sys/types.h>
#include <functional>
#include <string>
#include <vector>

namespace scalelaw::cli {

struct Program {
  /// For messages: `server`.
  std::string name;
  std::vector<std::string> argv;
  /// Whether it does what the next one needs of it; asked now and then until it is true. Empty: as soon as it runs.
  std::function<bool()> ready;
};

/// Starts the programs in order, each when the one before is ready and in its own process group, and starts any that
/// ends again, after half a second at first and later up to half a minute. What they print to standard output goes to
/// standard error. SIGTERM and SIGINT stop them in reverse order with SIGTERM, each with a minute
/// to end; a second signal kills them. They also end (SIGTERM) if this process dies in any other way.
///
/// `on_ready` is called once with the process ids when all are ready.
/// Returns kOk after a signal; kFailed if a program ended within seconds of its first start, which trying again would
/// not mend: it has said why. Call it on the main thread of a process without other threads.
int supervise(const std::vector<Program>& programs, const std::function<void(const std::vector<pid_t>&)>& on_ready);

}  // namespace scalelaw::cli
