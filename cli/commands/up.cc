#include <filesystem>
#include <fstream>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/address.h"
#include "cli/commands/commands.h"
#include "cli/find_program.h"
#include "cli/supervisor.h"

namespace scalelaw::cli {
namespace {

namespace fs = std::filesystem;

struct UpOptions {
  std::string data;
  std::string listen = kDefaultServer;
  std::string http;
  int slots = 0;
  std::vector<std::string> labels;
};

int up(Session& session, const UpOptions& options) {
  absl::StatusOr<Address> address = parse_address(options.listen);
  if (!address.ok()) return report_bad_input(fmt::format("--listen: {}", std::string(address.status().message())));
  if (absl::Status status = can_listen(*address); !status.ok())
    return report_bad_input(fmt::format("--listen: {}", std::string(status.message())));
  std::error_code error;
  fs::path data = fs::absolute(options.data, error);
  fs::create_directories(data, error);
  if (error) return report_bad_input(fmt::format("--data: cannot make {}: {}", data.string(), error.message()));
  std::string server = find_program("scalelaw-server");
  std::string worker = find_program("scalelaw-worker");
  for (const auto& [path, name] : {std::pair{server, "scalelaw-server"}, {worker, "scalelaw-worker"}})
    if (path.empty())
      return report_bad_input(fmt::format("cannot find {} beside this program or in PATH; is it built?", name));

  std::string target = local_target(*address);
  std::vector<std::string> server_argv = {server, "--data", data.string(), "--listen", options.listen};
  if (!options.http.empty()) server_argv.insert(server_argv.end(), {"--http", options.http});
  fs::remove(data / "http.addr", error);
  std::vector<Program> programs = {
      {"server", std::move(server_argv), [reach = *parse_address(target)] { return answers(reach); }},
      {"worker", {worker, "--server", target, "--work-dir", (data / "work").string()}, {}}};
  if (options.slots > 0) {
    programs[1].argv.push_back("--slots");
    programs[1].argv.push_back(std::to_string(options.slots));
  }
  for (const std::string& label : options.labels) {
    programs[1].argv.push_back("--label");
    programs[1].argv.push_back(label);
  }

  return supervise(programs, [&](const std::vector<pid_t>& pids) {
    // The server has written it before it answered.
    std::string dashboard;
    if (std::ifstream file(data / "http.addr"); file >> dashboard) dashboard = "http://" + dashboard;
    if (session.json) {
      nlohmann::ordered_json state = {{"server", target},
                                      {"dashboard", dashboard},
                                      {"data", data.string()},
                                      {"server_pid", pids[0]},
                                      {"worker_pid", pids[1]}};
      print(state.dump() + "\n");
    } else {
      std::string at = target == kDefaultServer ? "" : " --server " + target;
      print(session.terminal.paint(Color::kBold, "Scalelaw is up.") +
            fmt::format(" Server and worker on {}, data in {}.\n"
                        "{}"
                        "  submit a sweep   scalelaw submit examples/first-law.yaml --wait{}\n"
                        "  stop             Ctrl-C (what runs goes on at the next start)\n",
                        target, data.string(),
                        dashboard.empty() ? "" : fmt::format("  dashboard        {}\n", dashboard), at));
    }
    std::fflush(stdout);
  });
}

}  // namespace

void add_up_command(CLI::App& app, Session& session) {
  auto options = std::make_shared<UpOptions>();
  CLI::App& command = add_command(app, "up", "Run a server and a worker on this machine until Ctrl-C",
                                  "scalelaw up --data ~/scalelaw --slots 2");
  command.add_option("--data", options->data, "Folder for the database and the runs; made if it is not there")
      ->required();
  command.add_option("--listen", options->listen, "Address of the server")->capture_default_str();
  command.add_option("--http", options->http,
                     "Address of the dashboard, or `off`; default: ten ports above --listen, on this machine only");
  command.add_option("--slots", options->slots, "How many runs at once; default: as the worker finds")
      ->check(CLI::Range(1, 1024));
  command.add_option("--label", options->labels, "Label of the worker, key=value; may be repeated");
  command.callback([&session, options] { session.exit_code = up(session, *options); });
}

}  // namespace scalelaw::cli
