#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/find_program.h"

namespace scalelaw::cli {
namespace {

// The server's program is the only one that opens the database; it takes the place of this one.
int run_server(const Session& session, const std::string& data, std::vector<std::string> words) {
  const std::string server = find_program("scalelaw-server");
  if (server.empty()) return report_bad_input("cannot find scalelaw-server beside this program or in PATH");
  words.insert(words.begin(), server);
  words.insert(words.end(), {"--data", data});
  if (session.json) words.emplace_back("--json");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(server.c_str(), argv.data());
  return report_bad_input(fmt::format("cannot start {}: {}", server, std::strerror(errno)));
}

}  // namespace

void add_database_commands(CLI::App& app, Session& session) {
  CLI::App& database = add_command(app, "db", "Back up, restore or check the database of a server on this machine",
                                   "scalelaw db backup --data ~/scalelaw ~/backups/monday.db");
  database.require_subcommand(1);
  auto data = std::make_shared<std::string>();
  auto file = std::make_shared<std::string>();
  const auto add = [&](const char* name, const char* description, const char* example, const char* file_is) {
    CLI::App& command = add_command(database, name, description, example);
    command.add_option("--data", *data, "The server's directory, which holds scalelaw.db")->required();
    if (file_is != nullptr) command.add_option("FILE", *file, file_is)->required();
    command.callback([&session, data, file, name] {
      std::vector<std::string> words = {name};
      if (!file->empty()) words.push_back(*file);
      session.exit_code = run_server(session, *data, words);
    });
  };
  add("backup", "Copy the database as of now; the server may go on writing",
      "scalelaw db backup --data ~/scalelaw ~/backups/monday.db", "Where to; must not be there yet");
  add("restore", "Put a copy back while no server runs; what was there is kept beside it",
      "scalelaw db restore --data ~/scalelaw ~/backups/monday.db", "A copy made by backup");
  add("check", "Read the whole database and say whether it is sound", "scalelaw db check --data ~/scalelaw", nullptr);
}

}  // namespace scalelaw::cli
