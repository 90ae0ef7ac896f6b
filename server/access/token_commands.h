// `scalelaw-server token create | list | revoke`: works on the server's directory, whether a server runs there or not.
#pragma once

#include <CLI/App.hpp>

namespace scalelaw::server {

/// The commands run as callbacks of the parser; failures are thrown as CLI::RuntimeError after they were printed.
void add_token_commands(CLI::App& app);

}  // namespace scalelaw::server
