#include "trainer/loop/spec.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "trainer/params.h"

namespace scalelaw::trainer {

int64_t Budget::steps(double flops_per_sample, int64_t batch, int64_t default_samples) const {
  double samples = static_cast<double>(default_samples);
  if (unit == Unit::kSteps) samples = amount * static_cast<double>(batch);
  if (unit == Unit::kSamples) samples = amount;
  if (unit == Unit::kFlops) samples = amount / flops_per_sample;
  return std::max<int64_t>(1, static_cast<int64_t>(std::floor(samples / static_cast<double>(batch))));
}

Budget parse_budget(const nlohmann::json& budget) {
  Budget parsed;
  if (budget.is_null()) return parsed;
  if (!budget.is_object() || budget.size() > 1) {
    throw BadRun("budget: must hold exactly one of flops, samples, steps, not " + budget.dump());
  }
  for (const auto& [unit, amount] : budget.items()) {
    if (unit == "flops") parsed.unit = Budget::Unit::kFlops;
    if (unit == "samples") parsed.unit = Budget::Unit::kSamples;
    if (unit == "steps") parsed.unit = Budget::Unit::kSteps;
    if (parsed.unit == Budget::Unit::kNone) {
      throw BadRun(fmt::format("budget.{}: must be flops, samples or steps", unit));
    }
    parsed.amount = amount.is_number() ? amount.get<double>() : std::nan("");
    if (!(parsed.amount > 0 && parsed.amount < 1e30)) {
      throw BadRun(fmt::format("budget.{}: must be a number above 0, not {}", unit, amount.dump()));
    }
  }
  return parsed;
}

RunSpec parse_spec(const nlohmann::json& document) {
  if (!document.is_object()) throw BadRun("specification: must be a JSON object");
  if (document.value("version", 1) != 1) {
    throw BadRun("version: this trainer speaks version 1, not " + document["version"].dump());
  }
  RunSpec spec;
  try {
    spec.params = document.value("params", nlohmann::json::object());
    spec.budget = parse_budget(document.value("budget", nlohmann::json()));
    spec.seed = document.value("seed", uint64_t{1});
    spec.inputs = document.value("inputs", std::map<std::string, std::string>{});
  } catch (const nlohmann::json::exception& error) {
    throw BadRun(std::string("specification: ") + error.what());
  }
  return spec;
}

}  // namespace scalelaw::trainer
