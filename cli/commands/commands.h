// The verbs of `scalelaw`. Each function adds its commands to the application; a command that runs sets
// `session.exit_code`.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/session.h"

namespace scalelaw::cli {

/// The whole program: parses the arguments, runs the command, returns an `Exit`.
int run(int argc, char** argv);

/// init.
void add_init_command(CLI::App& app, Session& session);
/// submit, status, watch, pause, resume, cancel.
void add_sweep_commands(CLI::App& app, Session& session);
/// runs, logs, retry.
void add_run_commands(CLI::App& app, Session& session);
/// workers, drain, undrain.
void add_worker_commands(CLI::App& app, Session& session);
/// fit, predict, verify, laws.
void add_law_commands(CLI::App& app, Session& session);
/// optimal, compare, plan.
void add_use_commands(CLI::App& app, Session& session);
/// rank, approaches, diagnose.
void add_choice_commands(CLI::App& app, Session& session);
/// import.
void add_import_command(CLI::App& app, Session& session);
/// export.
void add_export_command(CLI::App& app, Session& session);
/// Draws the figures of a study's metrics into a folder and prints their paths.
void plot_study(Session& session, const std::string& study, const std::vector<std::string>& metrics,
                const std::string& folder);
/// plot.
void add_plot_command(CLI::App& app, Session& session);
/// db.
void add_database_commands(CLI::App& app, Session& session);
/// up.
void add_up_command(CLI::App& app, Session& session);
/// completion; add it last: it completes what is there.
void add_completion_command(CLI::App& app, Session& session);

/// A command with a worked example under its `--help`.
CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& description,
                      const std::string& example);

}  // namespace scalelaw::cli
