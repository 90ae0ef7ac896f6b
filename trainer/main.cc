// scalelaw-train: the built-in trainers. Under the trainer protocol (docs/trainer-protocol.md) it takes everything from
// $SCALELAW_SPEC; by hand, from its command line.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <malloc.h>
#include <unistd.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "trainer/blas.h"
#include "trainer/family.h"
#include "trainer/files.h"
#include "trainer/loop/peers.h"
#include "trainer/loop/spec.h"
#include "trainer/loop/train.h"

namespace scalelaw::trainer {
namespace {

enum Exit { kDone = 0, kFailed = 70, kCannotWrite = 74, kCannotSucceed = 65, kInterrupted = 75 };

constexpr const char* kExamples = R"(
Examples:
  scalelaw-train scorer --out runs/scorer
  scalelaw-train diffusion-dit --set width=64 --set depth=2 --budget-flops 1e11 \
      --input scorer=runs/scorer/scorer.pt --out runs/dit
  scalelaw-train --preset unet-c32-td0-1 --budget-flops 1e12 --out runs/unet
  scalelaw-train diffusion-dit --set data=folder --set data_path=photos --set resolution=64 --out runs/photos
  scalelaw-train describe diffusion-dit --set width=128 --budget-flops 1e12
  scalelaw-train describe --preset sdxl --json
)";

struct Arguments {
  std::vector<std::string> words;  // `describe` or nothing, then FAMILY unless a preset says which
  std::string preset;
  std::vector<std::string> settings, inputs;
  bool json = false;
  double flops = 0, samples = 0, steps = 0;
  uint64_t seed = 1;
  std::string out;
  int threads = 0;
};

std::pair<std::string, std::string> split_setting(const std::string& option, const std::string& text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw BadRun(fmt::format("{}: must be NAME=VALUE, not \"{}\"", option, text));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

RunSpec spec_from_arguments(const Arguments& arguments) {
  nlohmann::json document = {{"params", nlohmann::json::object()}, {"seed", arguments.seed}};
  if (!arguments.preset.empty()) document["params"]["preset"] = arguments.preset;
  for (const std::string& setting : arguments.settings) {
    auto [name, text] = split_setting("--set", setting);
    nlohmann::json value = nlohmann::json::parse(text, nullptr, false);
    document["params"][name] = value.is_discarded() ? nlohmann::json(text) : value;
  }
  for (const std::string& input : arguments.inputs) {
    auto [name, path] = split_setting("--input", input);
    document["inputs"][name] = path;
  }
  if (arguments.flops > 0) document["budget"]["flops"] = arguments.flops;
  if (arguments.samples > 0) document["budget"]["samples"] = arguments.samples;
  if (arguments.steps > 0) document["budget"]["steps"] = arguments.steps;
  return parse_spec(document);
}

RunSpec spec_from_environment(const char* path) {
  std::ifstream file(path);
  if (!file) throw BadRun(fmt::format("SCALELAW_SPEC: cannot read {}", path));
  nlohmann::json document = nlohmann::json::parse(file, nullptr, false);
  if (document.is_discarded()) throw BadRun(fmt::format("SCALELAW_SPEC: {} is not JSON", path));
  RunSpec spec = parse_spec(document);
  const char* events = std::getenv("SCALELAW_EVENTS");
  const char* checkpoints = std::getenv("SCALELAW_CHECKPOINT_DIR");
  spec.events_path = events ? events : "events.jsonl";
  spec.checkpoint_directory = checkpoints ? checkpoints : "checkpoints";
  return spec;
}

void place(RunSpec& spec, const std::string& out) {
  spec.directory = out.empty() ? "." : out;
  std::filesystem::create_directories(spec.directory);
  spec.events_path = spec.directory + "/events.jsonl";
  spec.checkpoint_directory = spec.directory + "/checkpoints";
  spec.narrate = ::isatty(STDERR_FILENO) == 1;
}

nlohmann::json as_json(const FamilyEntry& entry, const ModelFacts& facts) {
  nlohmann::json document = {{"family", entry.name},
                             {"params", facts.params},
                             {"params_total", facts.params_total},
                             {"flops_per_sample", facts.flops_per_sample},
                             {"batch", facts.batch},
                             {"steps", facts.steps},
                             {"samples", facts.samples},
                             {"flops", facts.flops_per_sample * static_cast<double>(facts.samples)},
                             {"parameters", facts.resolved}};
  if (facts.cost) {
    document["macs"] = facts.cost->macs();
    document["weight_macs"] = facts.cost->weight_macs;
    document["attention_share"] = facts.cost->attention_share();
  }
  return document;
}

// 1234567 as "1.235 M".
std::string short_number(double value) {
  using Unit = std::pair<double, const char*>;
  for (auto [unit, name] : {Unit{1e15, " P"}, Unit{1e12, " T"}, Unit{1e9, " G"}, Unit{1e6, " M"}, Unit{1e3, " k"}}) {
    if (value >= unit) return fmt::format("{:.4g}{}", value / unit, name);
  }
  return fmt::format("{:.4g} ", value);
}

void print_facts(const FamilyEntry& entry, const ModelFacts& facts) {
  fmt::print("{:26}{}\n", "family", entry.name);
  fmt::print("{:26}{} backbone, {} in total\n", "parameters", short_number(static_cast<double>(facts.params)),
             short_number(static_cast<double>(facts.params_total)));
  if (facts.cost) {
    fmt::print("{:26}{}MACs: {}MACs with weights, {}MACs in q·k and p·v\n", "one forward pass",
               short_number(facts.cost->macs()), short_number(facts.cost->weight_macs),
               short_number(facts.cost->attention_macs));
    fmt::print("{:26}{:.1f} % of the MACs with weights\n", "in transformer blocks",
               100 * facts.cost->attention_share());
  }
  fmt::print("{:26}{}FLOPs a sample, forward and backward\n", "training", short_number(facts.flops_per_sample));
  fmt::print("{:26}{} steps of {} samples: {}FLOPs\n", "budget", facts.steps, facts.batch,
             short_number(facts.flops_per_sample * static_cast<double>(facts.samples)));
}

void run(const Arguments& arguments) {
  const bool describing = !arguments.words.empty() && arguments.words.front() == "describe";
  const size_t rest = arguments.words.size() - (describing ? 1 : 0);
  if (rest > 1) {
    throw BadRun(fmt::format("{}: one family at a time (or: describe FAMILY)", arguments.words.back()));
  }
  if (rest == 0 && arguments.preset.empty()) throw BadRun("family: missing; name one, or a --preset");
  const FamilyEntry& entry = rest == 1 ? family_named(arguments.words.back()) : family_of_preset(arguments.preset);
  const char* given = std::getenv("SCALELAW_SPEC");
  RunSpec spec = given ? spec_from_environment(given) : spec_from_arguments(arguments);
  if (describing) {
    const ModelFacts facts = describe(entry, spec);
    if (arguments.json) {
      std::cout << as_json(entry, facts).dump(2) << '\n';
    } else {
      print_facts(entry, facts);
    }
    return;
  }
  if (!given) place(spec, arguments.out);
  warn_of_slow_blas();
  stop_on_signals();
  train(entry, spec);
  if (!given && Placement::from_environment().leads()) {
    fmt::print("done: {}/{}.pt, events in {}\n", spec.directory, entry.artifact, spec.events_path);
  }
}

std::string family_list() {
  std::string list = "Families:\n";
  for (const FamilyEntry& entry : families()) list += fmt::format("  {:16}{}\n", entry.name, entry.summary);
  list += "Presets (docs/models.md):\n";
  for (const FamilyEntry& entry : families()) {
    std::vector<std::string> names;
    for (const Preset& preset : entry.presets) names.push_back(preset.name);
    if (!names.empty()) list += fmt::format("  {:16}{}\n", entry.name, fmt::join(names, ", "));
  }
  return list;
}

int main_checked(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Trains one model on captioned images, or describes what it would cost.");
  app.footer(family_list() + kExamples);
  app.add_option("family", arguments.words, "FAMILY to train; or: describe FAMILY")->expected(0, 2);
  app.add_option("--preset", arguments.preset, "NAME below: parameters that --set may change; says the family too");
  app.add_flag("--json", arguments.json, "describe as JSON");
  app.add_option("--set", arguments.settings, "NAME=VALUE, a parameter of the family (repeatable)")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--input", arguments.inputs, "NAME=PATH, an artifact of an earlier run (repeatable)")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  auto* flops =
      app.add_option("--budget-flops", arguments.flops, "train for this many FLOPs")->check(CLI::PositiveNumber);
  auto* samples = app.add_option("--budget-samples", arguments.samples, "… samples")->check(CLI::PositiveNumber);
  auto* steps = app.add_option("--budget-steps", arguments.steps, "… steps")->check(CLI::PositiveNumber);
  flops->excludes(samples)->excludes(steps);
  samples->excludes(steps);
  app.add_option("--seed", arguments.seed, "of initial weights, data order and noise")->capture_default_str();
  app.add_option("--out", arguments.out, "directory for the artifact, events and checkpoints (default: here)");
  app.add_option("--threads", arguments.threads, "CPU threads (default: OMP_NUM_THREADS, else all)")
      ->check(CLI::PositiveNumber);
  app.set_version_flag("--version", "scalelaw-train " SCALELAW_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kCannotSucceed;
  }
  if (arguments.threads > 0) at::set_num_threads(arguments.threads);
  at::set_num_interop_threads(1);
  run(arguments);
  return kDone;
}

// Not fmt::print, which throws where standard error cannot be written (a log on a full disk).
int complain(const char* what, Exit code) {
  std::fputs(fmt::format("scalelaw-train: {}\n", what).c_str(), stderr);
  return code;
}

}  // namespace
}  // namespace scalelaw::trainer

int main(int argc, char** argv) {
  using namespace scalelaw::trainer;
  // Tensors come and go every step: keep their memory instead of returning it to the kernel and faulting it in again.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
  try {
    return main_checked(argc, argv);
  } catch (const BadRun& error) {
    return complain(error.what(), kCannotSucceed);
  } catch (const Interrupted& error) {
    return complain(error.what(), kInterrupted);
  } catch (const WriteError& error) {
    return complain(error.what(), kCannotWrite);
  } catch (const c10::Error& error) {
    return complain(error.what_without_backtrace(), kFailed);
  } catch (const std::exception& error) {
    return complain(error.what(), kFailed);
  }
}
