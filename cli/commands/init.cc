#include <filesystem>
#include <fstream>
#include <memory>

#include <fmt/format.h>

#include "cli/commands/commands.h"

namespace scalelaw::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBuiltIn =
    R"(# A sweep: small runs from which a law predicts the large one. Check it by `scalelaw submit THIS_FILE --dry-run`.
name: @NAME@
study: @NAME@             # laws are fitted to the runs of a study; several sweeps may add to one
# max_parallel: 4         # most runs of this sweep at once; default: all slots that are free

stages:
  # Trained first: answers questions about images, by which the others are scored.
  - name: scorer
    family: scorer
    budget: {samples: 150000}

  # Every size gets every budget (an isoFLOP ladder): 3 sizes × 4 budgets × 1 seed = 12 runs.
  - name: ladder
    family: diffusion-dit   # built in; or `command:` with a program of your own, see `scalelaw init --script`
    needs: {scorer: scorer}
    params: {depth: 2}      # of every run; `scalelaw-train diffusion-dit --help` lists them
    grid:
      width: [32, 48, 64]   # every combination of these
    budget: {flops: [1e10, 2e10, 4e10, 8e10]}   # or samples: […], or steps: […]
    seeds: [1]              # two or three where runs are cheap: they show the noise
    # resources: {slots: 1, labels: {gpu: a100}}
    # retries: {max: 2}     # of a trainer that fails; lost workers do not count

  # Kept from every fit: what the prediction is verified against.
  # - name: target
  #   family: diffusion-dit
  #   needs: {scorer: scorer}
  #   params: {depth: 4, width: 96}
  #   budget: {flops: 1e12}
  #   holdout: true

# Then:  scalelaw submit THIS_FILE --wait
#        scalelaw fit @NAME@ --metric alignment --x flops
#        scalelaw predict @NAME@ --metric alignment --flops 1e12
)";

constexpr const char* kScript =
    R"(# A sweep of a program of your own. Check it by `scalelaw submit THIS_FILE --dry-run`.
name: @NAME@
study: @NAME@             # laws are fitted to the runs of a study; several sweeps may add to one
# max_parallel: 4         # most runs of this sweep at once; default: all slots that are free

stages:
  - name: train
    # Started once per run, without a shell; {here} is this file's folder. It reads its parameters, seed and budget from
    # the JSON file $SCALELAW_SPEC and appends a line of JSON per report to $SCALELAW_EVENTS (docs/trainer-protocol.md).
    command: [python3, "{here}/train.py"]
    params: {batch_size: 64}   # of every run
    grid:
      width: [128, 256, 512]   # every combination of these: 3 sizes × 4 budgets × 1 seed = 12 runs
    budget: {flops: [1e15, 3e15, 1e16, 3e16]}   # or samples: […], or steps: […]; the program stops there by itself
    seeds: [1]                 # two or three where runs are cheap: they show the noise
    # resources: {slots: 1, labels: {gpu: a100}}
    # retries: {max: 2}        # of a program that fails; lost workers do not count

# Then:  scalelaw submit THIS_FILE --wait
#        scalelaw fit @NAME@ --metric loss --x params,samples
#        scalelaw optimal @NAME@ --metric loss --flops 1e18
)";

struct InitOptions {
  std::string file = "sweep.yaml";
  bool script = false;
  bool force = false;
};

std::string filled(std::string text, const std::string& mark, const std::string& value) {
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + value.size()))
    text.replace(at, mark.size(), value);
  return text;
}

/// A file's name as a sweep may be called.
std::string sweep_name(const fs::path& file) {
  std::string name = file.stem().string();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  return name.find_first_not_of("0123456789-._") == name.npos ? "sweep" : name.substr(0, 64);
}

void init(Session& session, const InitOptions& options) {
  std::string text = options.script ? kScript : kBuiltIn;
  text = filled(filled(std::move(text), "@NAME@", sweep_name(options.file)), "THIS_FILE", options.file);
  if (fs::exists(options.file) && !options.force) {
    session.exit_code = report_bad_input(fmt::format("{} is there already; name another, or --force", options.file));
    return;
  }
  std::ofstream file(options.file);
  file << text;
  file.close();
  if (!file) {
    session.exit_code = report_bad_input(fmt::format("{} cannot be written", options.file));
    return;
  }
  print(fmt::format("{} is written; edit it, then:  scalelaw submit {} --dry-run\n", options.file, options.file));
}

}  // namespace

void add_init_command(CLI::App& app, Session& session) {
  auto options = std::make_shared<InitOptions>();
  CLI::App& command =
      add_command(app, "init", "Write a commented sweep file to start from", "scalelaw init my-sweep.yaml --script");
  command.add_option("FILE", options->file, "The file to write")->capture_default_str();
  command.add_flag("--script", options->script, "For a training program of your own, not for the built-in models");
  command.add_flag("--force", options->force, "Replace the file if it is there");
  command.callback([&session, options] { init(session, *options); });
}

}  // namespace scalelaw::cli
