#include "server/expansion/content_key.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "proto/sha256.h"
#include "server/expansion/canonical_json.h"

namespace scalelaw::server {
namespace {

google::protobuf::Struct budget_fields(const RunBudget& budget) {
  google::protobuf::Struct fields;
  if (auto* flops = std::get_if<FlopsBudget>(&budget)) {
    (*fields.mutable_fields())["flops"].set_number_value(flops->flops);
  } else if (auto* samples = std::get_if<SamplesBudget>(&budget)) {
    (*fields.mutable_fields())["samples"].set_number_value(static_cast<double>(samples->samples));
  } else if (auto* steps = std::get_if<StepsBudget>(&budget)) {
    (*fields.mutable_fields())["steps"].set_number_value(static_cast<double>(steps->steps));
  }
  return fields;
}

}  // namespace

std::string content_key(const std::vector<std::string>& command, const ExpandedRun& run,
                        const std::map<std::string, std::string>& inputs) {
  // Assembled from canonical parts, keys in alphabetical order; the version changes when the meaning does.
  std::string text = fmt::format(R"({{"budget":{},"command":{},"inputs":{},"params":{},"seed":{},"version":1}})",
                                 canonical_json(budget_fields(run.budget)), nlohmann::json(command).dump(),
                                 nlohmann::json(inputs).dump(), canonical_json(run.params), run.seed);
  return sha256(text);
}

}  // namespace scalelaw::server
