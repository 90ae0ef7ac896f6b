#include "server/expansion/expansion.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <absl/strings/ascii.h>
#include <fmt/format.h>

#include "server/expansion/canonical_json.h"
#include "server/expansion/content_key.h"
#include "server/expansion/source.h"
#include "server/expansion/validation.h"

namespace scalelaw::server {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

void merge(const Struct& overrides, Struct& params) {
  for (const auto& [key, value] : overrides.fields()) (*params.mutable_fields())[key] = value;
}

void merge(const v1::GridAxis& axis, int choice, Struct& params) {
  const Value& value = axis.values(choice);
  if (value.has_struct_value()) {
    merge(value.struct_value(), params);
  } else {
    (*params.mutable_fields())[axis.key()] = value;
  }
}

// The parameters of every (list entry × grid point), the last axis fastest.
std::vector<Struct> parameter_sets(const v1::StageSpec& spec) {
  std::vector<Struct> sets;
  if (spec.list().empty()) sets.push_back(spec.params());
  for (const Struct& entry : spec.list()) {
    sets.push_back(spec.params());
    merge(entry, sets.back());
  }
  for (const v1::GridAxis& axis : spec.grid()) {
    std::vector<Struct> product;
    product.reserve(sets.size() * axis.values_size());
    for (const Struct& set : sets) {
      for (int choice = 0; choice < axis.values_size(); ++choice) {
        product.push_back(set);
        merge(axis, choice, product.back());
      }
    }
    sets = std::move(product);
  }
  return sets;
}

std::vector<RunBudget> budgets(const v1::Budget& budget) {
  std::vector<RunBudget> all;
  for (double flops : budget.flops()) all.push_back(FlopsBudget{flops});
  for (int64_t samples : budget.samples()) all.push_back(SamplesBudget{samples});
  for (int64_t steps : budget.steps()) all.push_back(StepsBudget{steps});
  if (all.empty()) all.push_back(std::monostate{});
  return all;
}

// The parameters that a list or a grid sets, in the order in which they are named: list keys, then axes as written.
std::vector<std::string> named_parameters(const v1::StageSpec& spec) {
  std::vector<std::string> keys;
  auto add_sorted = [&](const std::set<std::string>& more) {
    for (const std::string& key : more)
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  };
  std::set<std::string> list_keys;
  for (const Struct& entry : spec.list())
    for (const auto& [key, value] : entry.fields()) list_keys.insert(key);
  add_sorted(list_keys);
  for (const v1::GridAxis& axis : spec.grid()) {
    std::set<std::string> axis_keys;
    for (const Value& value : axis.values()) {
      if (!value.has_struct_value()) axis_keys.insert(axis.key());
      for (const auto& [key, field] : value.struct_value().fields()) axis_keys.insert(key);
    }
    add_sorted(axis_keys);
  }
  return keys;
}

std::string readable(const Struct& params, const std::string& key) {
  auto found = params.fields().find(key);
  if (found == params.fields().end()) return "default";
  const Value& value = found->second;
  if (value.has_number_value()) return short_number(value.number_value());
  if (value.kind_case() == Value::kStringValue) return value.string_value();
  return canonical_json(value);
}

std::string readable(const RunBudget& budget) {
  if (auto* flops = std::get_if<FlopsBudget>(&budget)) return fmt::format("flops={} ", short_number(flops->flops, 1e4));
  if (auto* samples = std::get_if<SamplesBudget>(&budget))
    return fmt::format("samples={} ", short_number(static_cast<double>(samples->samples)));
  if (auto* steps = std::get_if<StepsBudget>(&budget))
    return fmt::format("steps={} ", short_number(static_cast<double>(steps->steps)));
  return "";
}

std::vector<ExpandedRun> runs_of(const v1::StageSpec& spec) {
  std::vector<Struct> sets = parameter_sets(spec);
  std::vector<std::string> varying;
  for (const std::string& key : named_parameters(spec)) {
    std::set<std::string> values;
    for (const Struct& set : sets) values.insert(readable(set, key));
    if (values.size() > 1) varying.push_back(key);
  }
  std::vector<int64_t> seeds(spec.seeds().begin(), spec.seeds().end());
  if (seeds.empty()) seeds.push_back(1);

  std::vector<ExpandedRun> runs;
  for (const Struct& params : sets) {
    std::string values;
    for (const std::string& key : varying) values += fmt::format("{}={} ", key, readable(params, key));
    for (const RunBudget& budget : budgets(spec.budget()))
      for (int64_t seed : seeds)
        runs.push_back({fmt::format("{}{}seed={}", values, readable(budget), seed), params, budget, seed, ""});
  }
  return runs;
}

ExpandedStage stage_without_runs(const v1::SweepSpec& sweep, const v1::StageSpec& spec) {
  ExpandedStage stage;
  stage.name = spec.name();
  stage.study = spec.study().empty() ? sweep.study() : spec.study();
  std::map<std::string, std::string> needs(spec.needs().begin(), spec.needs().end());
  for (const auto& [artifact, producer] : needs) stage.needs.push_back({artifact, stage_index(sweep, producer)});
  if (spec.has_source()) {
    stage.command = adapted(spec);
  } else if (spec.family().empty()) {
    stage.command.assign(spec.command().begin(), spec.command().end());
  } else {
    stage.command = {"scalelaw-train", spec.family()};
  }
  stage.slots = std::max(1u, spec.resources().slots());
  stage.labels.insert(spec.resources().labels().begin(), spec.resources().labels().end());
  stage.workers = std::max(1u, spec.resources().workers());
  stage.gpu_model = absl::AsciiStrToLower(spec.resources().gpu_model());
  stage.gpu_memory_bytes = std::llround(spec.resources().gpu_memory_gib() * (1 << 30));
  if (spec.retries().has_max()) stage.max_retries = spec.retries().max();
  if (spec.retries().has_backoff_seconds()) stage.backoff_seconds = spec.retries().backoff_seconds();
  stage.holdout = spec.holdout();
  stage.early_stopping = spec.early_stopping();
  return stage;
}

// Fills in the content keys of a stage whose needed stages have theirs. Names the first pair of equal runs.
absl::Status set_content_keys(Expansion& expansion, int index) {
  ExpandedStage& stage = expansion.stages[index];
  std::map<std::string, std::string> inputs;
  for (const ArtifactNeed& need : stage.needs)
    inputs[need.artifact] = expansion.stages[need.stage].runs.front().content_key;
  std::set<std::string> seen;
  for (ExpandedRun& run : stage.runs) {
    run.content_key = content_key(stage.command, run, inputs);
    if (!seen.insert(run.content_key).second)
      return invalid(fmt::format("stages[{}]", index),
                     fmt::format("the run {} is there twice; remove the repeated value", run.name));
  }
  return absl::OkStatus();
}

absl::Status check_size(const v1::SweepSpec& sweep) {
  double total = 0;
  for (const v1::StageSpec& spec : sweep.stages()) total += planned_runs(spec);
  if (total <= static_cast<double>(kMaxRunsPerSweep)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("stages: the sweep has {} runs; at most {} are allowed", short_number(total), kMaxRunsPerSweep));
}

}  // namespace

int64_t Expansion::run_count() const {
  int64_t count = 0;
  for (const ExpandedStage& stage : stages) count += static_cast<int64_t>(stage.runs.size());
  return count;
}

absl::StatusOr<Expansion> expand(const v1::SweepSpec& sweep) {
  if (absl::Status status = validate(sweep); !status.ok()) return status;
  if (absl::Status status = check_size(sweep); !status.ok()) return status;

  Expansion expansion{.name = sweep.name(), .study = sweep.study(), .max_parallel = sweep.max_parallel(), .stages = {}};
  expansion.priority = sweep.priority();
  expansion.owner = sweep.owner();
  expansion.limits = sweep.limits();
  if (sweep.order() != v1::ORDER_UNSPECIFIED) expansion.order = sweep.order();
  for (const v1::StageSpec& spec : sweep.stages()) {
    expansion.stages.push_back(stage_without_runs(sweep, spec));
    expansion.stages.back().runs = runs_of(spec);
    const std::string stage = fmt::format("stages[{}]", expansion.stages.size() - 1);
    for (const ExpandedRun& run : expansion.stages.back().runs)
      if (absl::Status status = check_source(stage, spec, run); !status.ok()) return status;
  }
  for (int index : in_order_of_need(sweep))
    if (absl::Status status = set_content_keys(expansion, index); !status.ok()) return status;
  return expansion;
}

}  // namespace scalelaw::server
