#include "worker/attempt/launch.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/struct.pb.h>
#include <nlohmann/json.hpp>

namespace scalelaw::worker {
namespace {

using nlohmann::json;

json to_json(const google::protobuf::Struct& fields);

json to_json(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNumberValue: {
      // Struct knows doubles only; 64 was meant, not 64.0.
      const double n = value.number_value();
      if (n == std::floor(n) && std::abs(n) < 9007199254740992.0) return static_cast<std::int64_t>(n);
      return n;
    }
    case google::protobuf::Value::kStringValue:
      return value.string_value();
    case google::protobuf::Value::kBoolValue:
      return value.bool_value();
    case google::protobuf::Value::kStructValue:
      return to_json(value.struct_value());
    case google::protobuf::Value::kListValue: {
      json list = json::array();
      for (const auto& element : value.list_value().values()) list.push_back(to_json(element));
      return list;
    }
    default:
      return nullptr;
  }
}

json to_json(const google::protobuf::Struct& fields) {
  json object = json::object();
  for (const auto& [key, value] : fields.fields()) object[key] = to_json(value);
  return object;
}

json budget(const v1::Assignment& assignment) {
  switch (assignment.budget_case()) {
    case v1::Assignment::kBudgetFlops:
      return {{"flops", assignment.budget_flops()}};
    case v1::Assignment::kBudgetSamples:
      return {{"samples", assignment.budget_samples()}};
    case v1::Assignment::kBudgetSteps:
      return {{"steps", assignment.budget_steps()}};
    default:
      return nullptr;
  }
}

std::string dump(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string to_json(const Launch& launch) {
  return dump({{"attempt", raw(launch.attempt)},
               {"run", raw(launch.run)},
               {"attempt_number", launch.attempt_number},
               {"run_fingerprint", launch.run_fingerprint},
               {"argv", launch.argv},
               {"environment", launch.environment},
               {"run_directory", launch.run_directory.string()},
               {"nodes", launch.nodes},
               {"slots", launch.slots},
               {"limits", launch.limits},
               {"grace_seconds", launch.grace_seconds}});
}

absl::StatusOr<Launch> launch_from_json(const std::string& text) {
  try {
    const json object = json::parse(text);
    Launch launch;
    launch.attempt = AttemptId{object.at("attempt").get<std::int64_t>()};
    launch.run = RunId{object.at("run").get<std::int32_t>()};
    object.at("attempt_number").get_to(launch.attempt_number);
    object.at("run_fingerprint").get_to(launch.run_fingerprint);
    object.at("argv").get_to(launch.argv);
    object.at("environment").get_to(launch.environment);
    launch.run_directory = object.at("run_directory").get<std::string>();
    object.at("nodes").get_to(launch.nodes);
    object.at("slots").get_to(launch.slots);
    object.at("limits").get_to(launch.limits);
    object.at("grace_seconds").get_to(launch.grace_seconds);
    return launch;
  } catch (const json::exception& error) {
    return absl::DataLossError(fmt::format("the launch file is damaged: {}", error.what()));
  }
}

std::string trainer_spec(const v1::Assignment& assignment) {
  json spec = {{"version", 1},
               {"run", assignment.run_id()},
               {"attempt", assignment.attempt_number()},
               {"study", assignment.study()},
               {"stage", assignment.stage()},
               {"params", to_json(assignment.params())},
               {"seed", assignment.seed()},
               {"inputs", json::object()}};
  for (const auto& [name, path] : assignment.inputs()) spec["inputs"][name] = path;
  if (json limit = budget(assignment); !limit.is_null()) spec["budget"] = std::move(limit);
  return dump(spec);
}

std::string run_fingerprint(const v1::Assignment& assignment) {
  json inputs = json::array();
  for (const auto& entry : assignment.inputs()) inputs.push_back(entry.first);
  std::sort(inputs.begin(), inputs.end());
  return json{{"study", assignment.study()},
              {"stage", assignment.stage()},
              {"command", std::vector<std::string>(assignment.command().begin(), assignment.command().end())},
              {"params", to_json(assignment.params())},
              {"budget", budget(assignment)},
              {"seed", assignment.seed()},
              {"inputs", std::move(inputs)}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string checkpoints_name(const v1::Assignment& assignment) {
  // FNV-1a: the same on every machine.
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : run_fingerprint(assignment)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{}-{:016x}", assignment.run_id(), hash);
}

std::map<std::string, std::string> slot_environment(const std::vector<int>& slots, const SlotShare& share) {
  const std::string threads = std::to_string(std::max<std::size_t>(1, slots.size() * share.cpu_threads));
  std::map<std::string, std::string> environment = {{"OMP_NUM_THREADS", threads}, {"OPENBLAS_NUM_THREADS", threads}};
  if (share.gpus) {
    environment["CUDA_VISIBLE_DEVICES"] = fmt::format("{}", fmt::join(slots, ","));
    environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";
  }
  return environment;
}

std::map<std::string, std::string> gang_environment(const v1::GangMember& member, std::size_t size, std::size_t slots) {
  const std::string rank = std::to_string(member.rank());
  const std::string members = std::to_string(size);
  const std::string& address = member.master_address();
  const std::string port = std::to_string(member.master_port());
  return {{"MASTER_ADDR", address},
          {"MASTER_PORT", port},
          {"WORLD_SIZE", members},
          {"RANK", rank},
          {"LOCAL_RANK", "0"},
          {"LOCAL_WORLD_SIZE", "1"},
          {"GROUP_RANK", rank},
          {"GROUP_WORLD_SIZE", members},
          {"PET_NNODES", members},
          {"PET_NODE_RANK", rank},
          {"PET_NPROC_PER_NODE", std::to_string(std::max<std::size_t>(1, slots))},
          {"PET_MASTER_ADDR", address},
          {"PET_MASTER_PORT", port}};
}

}  // namespace scalelaw::worker
