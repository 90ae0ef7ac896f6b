// `scalelaw-server backup`, `restore` and `check`: this program alone opens the database.
#pragma once

namespace CLI {
class App;
}

namespace scalelaw::server {

/// They run while the command line is parsed. Their exit code says whether the database, or the copy, is sound (0 or
/// 1).
void add_database_commands(CLI::App& app);

}  // namespace scalelaw::server
