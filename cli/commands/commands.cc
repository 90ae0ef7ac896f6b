#include "cli/commands/commands.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

namespace scalelaw::cli {

CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& description,
                      const std::string& example) {
  CLI::App& command = *app.add_subcommand(name, description);
  command.footer(
      fmt::format("Example: {}\n\nEvery command takes --server HOST:PORT (or SCALELAW_SERVER) and --json.\n{}", example,
                  kExitCodes));
  return command;
}

namespace {
/// How `--help` lists the commands.
const std::vector<std::pair<const char*, std::vector<const char*>>> kGroups = {
    {"Training",
     {"up", "init", "submit", "status", "watch", "pause", "resume", "cancel", "runs", "logs", "retry", "workers"}},
    {"Laws", {"fit", "forms", "laws", "predict", "verify", "rank", "approaches", "diagnose"}},
    {"What laws are for", {"optimal", "compare", "plan", "plot"}},
    {"Other tools", {"import", "export"}},
    {"Upkeep", {"drain", "undrain", "db"}},
    {"Shell", {"completion"}}};
}  // namespace

int run(int argc, char** argv) {
  Session session;
  CLI::App app("Neural scaling laws from sweeps of training runs: submit, watch, fit, predict.", "scalelaw");
  app.set_version_flag("--version", SCALELAW_VERSION);
  app.add_option("--server", session.server, "The server, HOST:PORT")
      ->envname("SCALELAW_SERVER")
      ->capture_default_str();
  app.add_flag("--json", session.json, "Print JSON for programs");
  client::add_security_options(app, session.security);
  app.footer(
      fmt::format("Begin with:  scalelaw up --data DIR   and in another terminal\n"
                  "             scalelaw submit examples/first-law.yaml --wait\n\n{}",
                  kExitCodes));
  app.require_subcommand(1);
  app.fallthrough();
  add_init_command(app, session);
  add_sweep_commands(app, session);
  add_run_commands(app, session);
  add_law_commands(app, session);
  add_use_commands(app, session);
  add_choice_commands(app, session);
  add_plot_command(app, session);
  add_import_command(app, session);
  add_export_command(app, session);
  add_worker_commands(app, session);
  add_up_command(app, session);
  add_database_commands(app, session);
  add_completion_command(app, session);
  for (const auto& [group, names] : kGroups)
    for (const char* name : names) app.get_subcommand(name)->group(group);
  if (argc == 1) {
    print(app.help());
    return kBadInput;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kBadInput;
  }
  return session.exit_code;
}

}  // namespace scalelaw::cli
