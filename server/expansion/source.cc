#include "server/expansion/source.h"

#include <map>

#include <fmt/format.h>

#include "adapter/records.h"
#include "adapter/reporter.h"
#include "server/expansion/canonical_json.h"
#include "server/expansion/validation.h"

namespace scalelaw::server {
namespace {

adapter::Meaning meaning_of(const v1::Source& source) {
  adapter::Meaning meaning;
  meaning.step = source.step();
  meaning.samples = source.samples();
  meaning.params = source.params();
  meaning.flops_per_sample = source.flops_per_sample();
  const std::map<std::string, std::string> metrics(source.metrics().begin(), source.metrics().end());
  for (const auto& [name, expression] : metrics) meaning.metrics.push_back(name + "=" + expression);
  return meaning;
}

adapter::RunFacts facts_of(const ExpandedRun& run) {
  nlohmann::json spec = {{"params", nlohmann::json::parse(canonical_json(run.params))}, {"seed", run.seed}};
  if (const auto* flops = std::get_if<FlopsBudget>(&run.budget)) spec["budget"]["flops"] = flops->flops;
  if (const auto* samples = std::get_if<SamplesBudget>(&run.budget)) spec["budget"]["samples"] = samples->samples;
  if (const auto* steps = std::get_if<StepsBudget>(&run.budget)) spec["budget"]["steps"] = steps->steps;
  return *adapter::facts_of(spec);
}

/// The adapter's errors begin with its option, whose field has the same name but for the hyphens.
absl::Status in_field(const std::string& stage, const absl::Status& status) {
  std::string message(status.message());
  if (!message.starts_with("--")) return invalid(stage + ".command", message);
  const size_t colon = message.find(": ");
  std::string field = message.substr(2, colon - 2);
  for (char& c : field)
    if (c == '-') c = '_';
  if (field == "metric") field = "metrics";
  return invalid(stage + ".source." + field, message.substr(colon + 2));
}

}  // namespace

absl::Status check_source(const std::string& stage, const v1::StageSpec& spec) {
  if (!spec.has_source()) return absl::OkStatus();
  const v1::Source& source = spec.source();
  if (spec.command().empty())
    return invalid(stage + ".source", "belongs to a command; the built-in families report by themselves");
  int places = source.output().empty() ? 0 : 1;
  for (const std::string* path : {&source.jsonl(), &source.csv(), &source.tensorboard(), &source.trainer_state()})
    places += path->empty() ? 0 : 1;
  if (places != 1)
    return invalid(stage + ".source", "needs exactly one of output, jsonl, csv, tensorboard and trainer_state");
  for (int i = 0; i < source.output_size(); ++i)
    if (const auto made = adapter::OutputReports::make({source.output(i)}); !made.ok())
      return invalid(fmt::format("{}.source.output[{}]", stage, i), std::string(made.status().message()));
  for (const auto& [name, path] : source.artifacts())
    if (name.empty() || path.empty()) return invalid(stage + ".source.artifacts", "each needs a name and a file");
  return absl::OkStatus();
}

absl::Status check_source(const std::string& stage, const v1::StageSpec& spec, const ExpandedRun& run) {
  if (!spec.has_source()) return absl::OkStatus();
  const auto reporter = adapter::Reporter::make(meaning_of(spec.source()), facts_of(run));
  if (!reporter.ok()) return in_field(stage, reporter.status());
  for (const std::string& word : spec.command())
    if (const auto argument = adapter::filled(word, reporter->facts()); !argument.ok())
      return in_field(stage, argument.status());
  return absl::OkStatus();
}

std::vector<std::string> adapted(const v1::StageSpec& spec) {
  const v1::Source& source = spec.source();
  std::vector<std::string> argv = {"scalelaw-adapt"};
  const auto option = [&argv](const char* name, const std::string& value) {
    if (!value.empty()) argv.push_back(fmt::format("--{}={}", name, value));
  };
  for (const std::string& expression : source.output()) option("output", expression);
  option("jsonl", source.jsonl());
  option("csv", source.csv());
  option("tensorboard", source.tensorboard());
  option("trainer-state", source.trainer_state());
  const adapter::Meaning meaning = meaning_of(source);
  option("step", meaning.step);
  for (const std::string& metric : meaning.metrics) option("metric", metric);
  option("samples", meaning.samples);
  option("params", meaning.params);
  option("flops-per-sample", meaning.flops_per_sample);
  const std::map<std::string, std::string> artifacts(source.artifacts().begin(), source.artifacts().end());
  for (const auto& [name, path] : artifacts) option("artifact", name + "=" + path);
  argv.emplace_back("--");
  argv.insert(argv.end(), spec.command().begin(), spec.command().end());
  return argv;
}

}  // namespace scalelaw::server
