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
};

/// Starts the programs in order, each in its own process group, and starts any that ends again, after half a second at
/// first and later up to half a minute. SIGTERM and SIGINT stop them in reverse order with SIGTERM, each with a minute
/// to end; a second signal kills them. They also end (SIGTERM) if this process dies in any other way.
///
/// `ready` is asked now and then until it is true; then `on_ready` is called once with the process ids.
/// Returns kOk after a signal; kFailed if a program ended within seconds of its first start, which trying again would
/// not mend: it has said why. Call it on the main thread of a process without other threads.
int supervise(const std::vector<Program>& programs, const std::function<bool()>& ready,
              const std::function<void(const std::vector<pid_t>&)>& on_ready);

}  // namespace scalelaw::cli
