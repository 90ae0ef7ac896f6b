#include "server/expansion/validation.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "server/expansion/canonical_json.h"
#include "server/expansion/families.h"
#include "server/expansion/name.h"
#include "server/expansion/source.h"

namespace scalelaw::server {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr uint32_t kMaxSlots = 1024;
constexpr uint32_t kMaxGang = 1024;
constexpr double kMaxGpuMemoryGib = 1e5;
constexpr int32_t kMaxPriority = 1000;
constexpr double kMaxSlotHours = 1e9;
constexpr uint32_t kMaxRetries = 1000;
constexpr double kMaxBackoffSeconds = 86400;
constexpr double kMaxFlops = 1e30;

absl::Status check_value(const std::string& path, const Value& value) {
  switch (value.kind_case()) {
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      return invalid(path, "has no value");
    case Value::kNumberValue:
      if (!std::isfinite(value.number_value())) return invalid(path, "must be a finite number");
      return absl::OkStatus();
    case Value::kListValue:
      for (int i = 0; i < value.list_value().values_size(); ++i) {
        absl::Status status = check_value(fmt::format("{}[{}]", path, i), value.list_value().values(i));
        if (!status.ok()) return status;
      }
      return absl::OkStatus();
    case Value::kStructValue:
      for (const auto& [key, field] : value.struct_value().fields()) {
        absl::Status status = check_value(fmt::format("{}.{}", path, key), field);
        if (!status.ok()) return status;
      }
      return absl::OkStatus();
    default:
      return absl::OkStatus();
  }
}

absl::Status check_grid(const std::string& stage, const v1::StageSpec& spec) {
  std::map<std::string, std::string> set_by;  // parameter -> axis
  for (const v1::GridAxis& axis : spec.grid()) {
    std::string path = fmt::format("{}.grid.{}", stage, axis.key());
    if (axis.key().empty()) return invalid(stage + ".grid", "an axis needs a name");
    if (axis.values().empty()) return invalid(path, "is empty; give at least one value");
    bool maps = axis.values(0).has_struct_value();
    std::set<std::string> parameters;
    for (int i = 0; i < axis.values_size(); ++i) {
      std::string at = fmt::format("{}[{}]", path, i);
      const Value& value = axis.values(i);
      if (absl::Status status = check_value(at, value); !status.ok()) return status;
      if (value.has_struct_value() != maps)
        return invalid(at, "is unlike the axis' first value; either all values are maps of parameters or none is");
      if (!maps) {
        parameters.insert(axis.key());
        continue;
      }
      if (value.struct_value().fields().empty()) return invalid(at, "is an empty map; name the parameters it sets");
      for (const auto& [key, field] : value.struct_value().fields()) parameters.insert(key);
    }
    for (const std::string& parameter : parameters) {
      auto [other, fresh] = set_by.emplace(parameter, axis.key());
      if (!fresh && other->second == axis.key()) return invalid(path, "is given twice");
      if (!fresh) return invalid(path, fmt::format("sets {}, which grid.{} sets too", parameter, other->second));
    }
  }
  return absl::OkStatus();
}

template <class Values>
absl::Status check_budget_values(const std::string& path, const Values& values, double limit) {
  for (int i = 0; i < values.size(); ++i) {
    double value = static_cast<double>(values[i]);
    if (!(std::isfinite(value) && value > 0 && value <= limit))
      return invalid(fmt::format("{}[{}]", path, i),
                     fmt::format("must be above 0 and at most {}, not {}", short_number(limit), values[i]));
  }
  return absl::OkStatus();
}

absl::Status check_budget(const std::string& stage, const v1::StageSpec& spec) {
  const v1::Budget& budget = spec.budget();
  std::string path = stage + ".budget";
  std::vector<std::string> kinds;
  if (budget.flops_size() > 0) kinds.push_back("flops");
  if (budget.samples_size() > 0) kinds.push_back("samples");
  if (budget.steps_size() > 0) kinds.push_back("steps");
  if (kinds.size() > 1)
    return invalid(path, fmt::format("gives {}; give exactly one of flops, samples, steps", fmt::join(kinds, " and ")));
  if (kinds.empty() && spec.has_budget())
    return invalid(path, "is empty; give one of flops, samples, steps with at least one value");
  constexpr double kMaxCount = 9e15;
  if (auto s = check_budget_values(path + ".flops", budget.flops(), kMaxFlops); !s.ok()) return s;
  if (auto s = check_budget_values(path + ".samples", budget.samples(), kMaxCount); !s.ok()) return s;
  return check_budget_values(path + ".steps", budget.steps(), kMaxCount);
}

absl::Status check_seeds(const std::string& stage, const v1::StageSpec& spec) {
  std::set<int64_t> seen;
  for (int i = 0; i < spec.seeds_size(); ++i) {
    std::string at = fmt::format("{}.seeds[{}]", stage, i);
    if (spec.seeds(i) < 0) return invalid(at, fmt::format("must be 0 or more, not {}", spec.seeds(i)));
    if (!seen.insert(spec.seeds(i)).second) return invalid(at, fmt::format("{} is listed twice", spec.seeds(i)));
  }
  return absl::OkStatus();
}

absl::Status check_program(const std::string& stage, const v1::StageSpec& spec) {
  bool family = !spec.family().empty();
  bool command = spec.command_size() > 0;
  if (family && command) return invalid(stage + ".command", "give either family or command, not both");
  std::vector<std::string> names;
  for (const BuiltInFamily& known : built_in_families()) names.push_back(known.name);
  if (!family && !command)
    return invalid(stage + ".family",
                   fmt::format("is required, or a command; the families are {}", fmt::join(names, ", ")));
  if (family && find_built_in_family(spec.family()) == nullptr)
    return invalid(stage + ".family", fmt::format("there is no \"{}\"; the families are {}; a program of your own goes "
                                                  "under command",
                                                  spec.family(), fmt::join(names, ", ")));
  if (command && spec.command(0).empty()) return invalid(stage + ".command[0]", "must name a program");
  return check_source(stage, spec);
}

absl::Status check_resources(const std::string& stage, const v1::StageSpec& spec) {
  if (spec.resources().slots() > kMaxSlots)
    return invalid(stage + ".resources.slots",
                   fmt::format("must be from 1 to {}, not {}", kMaxSlots, spec.resources().slots()));
  if (spec.resources().workers() > kMaxGang)
    return invalid(stage + ".resources.workers",
                   fmt::format("must be from 1 to {}, not {}", kMaxGang, spec.resources().workers()));
  if (spec.resources().gpu_model().size() > kMaxNameLength)
    return invalid(stage + ".resources.gpu_model", fmt::format("must have at most {} characters", kMaxNameLength));
  if (double gib = spec.resources().gpu_memory_gib(); !(gib >= 0 && gib <= kMaxGpuMemoryGib))
    return invalid(stage + ".resources.gpu_memory_gib",
                   fmt::format("must be from 0 to {} GiB, not {}", kMaxGpuMemoryGib, gib));
  for (const auto& [key, value] : spec.resources().labels())
    if (key.empty()) return invalid(stage + ".resources.labels", "a label needs a name");
  if (spec.retries().has_max() && spec.retries().max() > kMaxRetries)
    return invalid(stage + ".retries.max",
                   fmt::format("must be from 0 to {}, not {}", kMaxRetries, spec.retries().max()));
  double backoff = spec.retries().backoff_seconds();
  if (!(backoff >= 0 && backoff <= kMaxBackoffSeconds))
    return invalid(stage + ".retries.backoff_seconds",
                   fmt::format("must be from 0 to {}, not {}", kMaxBackoffSeconds, backoff));
  return absl::OkStatus();
}

absl::Status check_early_stopping(const std::string& stage, const v1::StageSpec& spec) {
  if (!spec.has_early_stopping()) return absl::OkStatus();
  const v1::EarlyStopping& rule = spec.early_stopping();
  const std::string path = stage + ".early_stopping";
  if (rule.metric().empty()) return invalid(path + ".metric", "is required: the metric to watch, such as loss");
  if (!rule.has_above() && !rule.has_worse_than_median_after())
    return invalid(path, "gives no rule; give above, worse_than_median_after, or both");
  if (rule.has_above() && !std::isfinite(rule.above())) return invalid(path + ".above", "must be a finite number");
  if (!rule.has_worse_than_median_after()) return absl::OkStatus();
  const double share = rule.worse_than_median_after();
  if (!(share > 0 && share < 1))
    return invalid(path + ".worse_than_median_after",
                   fmt::format("must be a share of the budget between 0 and 1, not {}", share));
  if (!spec.has_budget())
    return invalid(path + ".worse_than_median_after", "needs a budget of the stage, of which it is a share");
  return absl::OkStatus();
}

absl::Status check_needs(const std::string& stage, const v1::SweepSpec& sweep, int index) {
  const v1::StageSpec& spec = sweep.stages(index);
  std::map<std::string, std::string> needs(spec.needs().begin(), spec.needs().end());
  std::vector<std::string> others;
  for (int i = 0; i < sweep.stages_size(); ++i)
    if (i != index) others.push_back(sweep.stages(i).name());
  for (const auto& [artifact, producer_name] : needs) {
    std::string path = fmt::format("{}.needs.{}", stage, artifact);
    if (absl::Status status = check_name(path, artifact); !status.ok()) return status;
    if (producer_name == spec.name()) return invalid(path, "a stage cannot need itself");
    int producer = stage_index(sweep, producer_name);
    if (producer < 0)
      return invalid(path, others.empty()
                               ? fmt::format("there is no stage \"{}\"; this sweep has only one stage", producer_name)
                               : fmt::format("there is no stage \"{}\"; the other stages are {}", producer_name,
                                             fmt::join(others, ", ")));
    const v1::StageSpec& from = sweep.stages(producer);
    if (double runs = planned_runs(from); runs > 1)
      return invalid(path, fmt::format("stage {} has {} runs; an artifact must come from a stage with one", from.name(),
                                       short_number(runs)));
    const BuiltInFamily* made_by = find_built_in_family(from.family());
    if (made_by != nullptr && made_by->makes != artifact)
      return invalid(path, fmt::format("stage {} ({}) makes the artifact {}, not {}", from.name(), from.family(),
                                       made_by->makes, artifact));
  }
  const BuiltInFamily* family = find_built_in_family(spec.family());
  if (family == nullptr) return absl::OkStatus();
  for (const std::string& artifact : family->required)
    if (!needs.contains(artifact))
      return invalid(stage + ".needs", fmt::format("{} needs the artifact {}: add `{}: STAGE`, a stage that makes it",
                                                   family->name, artifact, artifact));
  std::vector<std::string> takes = family->required;
  takes.insert(takes.end(), family->optional.begin(), family->optional.end());
  for (const auto& [artifact, producer_name] : needs)
    if (std::find(takes.begin(), takes.end(), artifact) == takes.end())
      return invalid(fmt::format("{}.needs.{}", stage, artifact),
                     takes.empty()
                         ? fmt::format("{} takes no artifacts", family->name)
                         : fmt::format("{} takes no such artifact; it takes {}", family->name, fmt::join(takes, ", ")));
  return absl::OkStatus();
}

absl::Status check_stage(const v1::SweepSpec& sweep, int index) {
  const v1::StageSpec& spec = sweep.stages(index);
  std::string stage = fmt::format("stages[{}]", index);
  if (auto s = check_program(stage, spec); !s.ok()) return s;
  if (auto s = check_needs(stage, sweep, index); !s.ok()) return s;
  if (auto s = check_params(stage + ".params", spec.params()); !s.ok()) return s;
  if (auto s = check_grid(stage, spec); !s.ok()) return s;
  for (int i = 0; i < spec.list_size(); ++i)
    if (auto s = check_params(fmt::format("{}.list[{}]", stage, i), spec.list(i)); !s.ok()) return s;
  if (auto s = check_budget(stage, spec); !s.ok()) return s;
  if (auto s = check_seeds(stage, spec); !s.ok()) return s;
  if (auto s = check_early_stopping(stage, spec); !s.ok()) return s;
  return check_resources(stage, spec);
}

absl::Status check_names(const v1::SweepSpec& sweep) {
  if (auto s = check_sweep_name("name", sweep.name()); !s.ok()) return s;
  if (sweep.stages().empty()) return invalid("stages", "is empty; a sweep has at least one stage");
  std::set<std::string> names;
  for (int i = 0; i < sweep.stages_size(); ++i) {
    const v1::StageSpec& stage = sweep.stages(i);
    std::string path = fmt::format("stages[{}]", i);
    if (auto s = check_name(path + ".name", stage.name()); !s.ok()) return s;
    if (!names.insert(stage.name()).second)
      return invalid(path + ".name", fmt::format("\"{}\" is already the name of an earlier stage", stage.name()));
    if (stage.study().empty() && sweep.study().empty())
      return invalid("study", fmt::format("is required, or give one in each stage ({} has none)", stage.name()));
    if (!stage.study().empty())
      if (auto s = check_name(path + ".study", stage.study()); !s.ok()) return s;
  }
  return sweep.study().empty() ? absl::OkStatus() : check_name("study", sweep.study());
}

absl::Status check_scheduling(const v1::SweepSpec& sweep) {
  if (std::abs(sweep.priority()) > kMaxPriority)
    return invalid("priority",
                   fmt::format("must be from {} to {}, not {}", -kMaxPriority, kMaxPriority, sweep.priority()));
  if (!sweep.owner().empty())
    if (auto s = check_name("owner", sweep.owner()); !s.ok()) return s;
  if (double flops = sweep.limits().flops(); !(flops >= 0 && flops <= kMaxFlops))
    return invalid("limits.flops", fmt::format("must be from 0 (no limit) to {}, not {}", kMaxFlops, flops));
  if (double hours = sweep.limits().slot_hours(); !(hours >= 0 && hours <= kMaxSlotHours))
    return invalid("limits.slot_hours", fmt::format("must be from 0 (no limit) to {}, not {}", kMaxSlotHours, hours));
  if (!v1::Order_IsValid(sweep.order())) return invalid("order", "must be longest-first or cheapest-first");
  return absl::OkStatus();
}

// Each stage that is in no order of need waits for another such stage: following them must come round.
absl::Status check_cycles(const v1::SweepSpec& sweep) {
  std::vector<int> order = in_order_of_need(sweep);
  std::set<int> ordered(order.begin(), order.end());
  int stage = 0;
  while (stage < sweep.stages_size() && ordered.contains(stage)) ++stage;
  if (stage == sweep.stages_size()) return absl::OkStatus();
  std::vector<int> path;
  while (std::find(path.begin(), path.end(), stage) == path.end()) {
    path.push_back(stage);
    std::map<std::string, std::string> needs(sweep.stages(stage).needs().begin(), sweep.stages(stage).needs().end());
    for (const auto& [artifact, producer] : needs) {
      int next = stage_index(sweep, producer);
      if (ordered.contains(next)) continue;
      stage = next;
      break;
    }
  }
  std::vector<std::string> circle;
  for (auto at = std::find(path.begin(), path.end(), stage); at != path.end(); ++at)
    circle.push_back(sweep.stages(*at).name());
  return invalid(fmt::format("stages[{}].needs", stage),
                 fmt::format("the needs go round in a circle: {} → {}", fmt::join(circle, " → "), circle.front()));
}

}  // namespace

absl::Status check_name(const std::string& path, const std::string& name) {
  if (name.empty()) return invalid(path, "is required");
  if (!is_name(name)) {
    return invalid(path, fmt::format("\"{}\" is no name; allowed are up to {} letters, digits, '.', '_' and '-', "
                                     "starting with a letter or a digit",
                                     name, kMaxNameLength));
  }
  return absl::OkStatus();
}

// Sweeps can be asked for by id or by name, so a name must not look like an id.
absl::Status check_sweep_name(const std::string& path, const std::string& name) {
  if (absl::Status status = check_name(path, name); !status.ok()) return status;
  if (name.find_first_not_of("0123456789") == std::string::npos)
    return invalid(path, fmt::format("\"{}\" reads like a sweep's number; add a letter", name));
  return absl::OkStatus();
}

absl::Status check_params(const std::string& path, const Struct& params) {
  // In the order of their keys: a map's own order differs from run to run, an error must not.
  std::map<std::string, const Value*> sorted;
  for (const auto& [key, value] : params.fields()) sorted[key] = &value;
  for (const auto& [key, value] : sorted) {
    if (key.empty()) return invalid(path, "a parameter needs a name");
    absl::Status status = check_value(fmt::format("{}.{}", path, key), *value);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status invalid(const std::string& path, const std::string& message) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", path, message));
}

double planned_runs(const v1::StageSpec& spec) {
  double runs = std::max(1, spec.list_size());
  for (const v1::GridAxis& axis : spec.grid()) runs *= axis.values_size();
  runs *= std::max({1, spec.budget().flops_size(), spec.budget().samples_size(), spec.budget().steps_size()});
  return runs * std::max(1, spec.seeds_size());
}

int stage_index(const v1::SweepSpec& sweep, const std::string& name) {
  for (int i = 0; i < sweep.stages_size(); ++i)
    if (sweep.stages(i).name() == name) return i;
  return -1;
}

std::vector<int> in_order_of_need(const v1::SweepSpec& sweep) {
  std::vector<int> order;
  std::vector<bool> placed(sweep.stages_size(), false);
  auto ready = [&](int stage) {
    return std::all_of(sweep.stages(stage).needs().begin(), sweep.stages(stage).needs().end(),
                       [&](const auto& need) { return placed[stage_index(sweep, need.second)]; });
  };
  for (bool progress = true; progress;) {
    progress = false;
    for (int i = 0; i < sweep.stages_size() && !progress; ++i) {
      if (placed[i] || !ready(i)) continue;
      placed[i] = progress = true;
      order.push_back(i);
    }
  }
  return order;
}

absl::Status validate(const v1::SweepSpec& sweep) {
  if (absl::Status status = check_names(sweep); !status.ok()) return status;
  if (absl::Status status = check_scheduling(sweep); !status.ok()) return status;
  for (int i = 0; i < sweep.stages_size(); ++i)
    if (absl::Status status = check_stage(sweep, i); !status.ok()) return status;
  return check_cycles(sweep);
}

}  // namespace scalelaw::server
