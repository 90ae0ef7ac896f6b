#include "server/store/database_commands.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "server/store/backup.h"
#include "server/store/store.h"

namespace scalelaw::server {
namespace {

struct DatabaseOptions {
  std::filesystem::path data;
  std::filesystem::path copy;
  bool json = false;
  std::filesystem::path file() const { return database_file(data); }
};

[[noreturn]] void fail(const absl::Status& status) {
  fmt::print(stderr, "scalelaw-server: {}\n", std::string(status.message()));
  throw CLI::RuntimeError(1);
}

void report(const std::filesystem::path& file, bool json) {
  const absl::StatusOr<DatabaseReport> report = check_database(file);
  if (!report.ok()) fail(report.status());
  if (json) {
    const nlohmann::ordered_json shown = {{"file", file.string()},    {"schema", report->schema},
                                          {"sweeps", report->sweeps}, {"runs", report->runs},
                                          {"points", report->points}, {"problems", report->problems}};
    fmt::print("{}\n", shown.dump(2));
  } else {
    for (const std::string& problem : report->problems) fmt::print("{}\n", problem);
    if (report->problems.empty()) {
      fmt::print("{} is sound: schema {}, {} sweeps, {} runs, {} points\n", file.string(), report->schema,
                 report->sweeps, report->runs, report->points);
    } else {
      fmt::print("{} is damaged: restore a backup, or save what is readable with `sqlite3 {} .recover`\n",
                 file.string(), file.string());
    }
  }
  if (!report->problems.empty()) throw CLI::RuntimeError(1);
}

void back_up(const DatabaseOptions& options) {
  if (absl::Status status = back_up_database(options.file(), options.copy); !status.ok()) fail(status);
  report(options.copy, options.json);
}

void restore(const DatabaseOptions& options) {
  const absl::StatusOr<std::string> kept = restore_database(options.copy, options.data);
  if (!kept.ok()) fail(kept.status());
  if (!kept->empty()) fmt::print(stderr, "what was there is kept as {}\n", *kept);
  report(options.file(), options.json);
}

void check(const DatabaseOptions& options) {
  report(options.file(), options.json);
}

}  // namespace

void add_database_commands(CLI::App& app) {
  const auto options = std::make_shared<DatabaseOptions>();
  const auto add = [&](const char* name, const char* help, void (*run)(const DatabaseOptions&)) {
    CLI::App* command = app.add_subcommand(name, help);
    command->add_option("--data", options->data, "The server's directory")->required();
    command->add_flag("--json", options->json, "Print JSON for programs");
    command->callback([options, run] { run(*options); });
    return command;
  };
  add("backup", "Copy the database to FILE, beside a running server too", back_up)
      ->add_option("FILE", options->copy, "Must not be there yet")
      ->required();
  add("restore", "Put a copy back; what was there is kept beside it", restore)
      ->add_option("FILE", options->copy, "A copy made by backup")
      ->required();
  add("check", "Read the whole database and say whether it is sound", check);
}

}  // namespace scalelaw::server
