#include "cli/sweep_writer.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "proto/message_json.h"

namespace scalelaw::cli {
namespace {

using nlohmann::ordered_json;

std::string key_text(const std::string& key) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; };
  const bool word = !key.empty() && std::isalpha(static_cast<unsigned char>(key[0])) != 0;
  return word && std::all_of(key.begin(), key.end(), plain) ? key : ordered_json(key).dump();
}

// On one line; strings in quotes, so that none of them reads as a number.
std::string flow(const ordered_json& value) {
  std::vector<std::string> parts;
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) parts.push_back(fmt::format("{}: {}", key_text(key), flow(member)));
    return fmt::format("{{{}}}", fmt::join(parts, ", "));
  }
  if (value.is_array()) {
    for (const ordered_json& element : value) parts.push_back(flow(element));
    return fmt::format("[{}]", fmt::join(parts, ", "));
  }
  return value.is_number_float() ? fmt::format("{}", value.get<double>()) : value.dump();
}

// Fields that are not set are not written.
bool is_default(const ordered_json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_number() && value == 0) ||
         (value.is_string() && value.get<std::string>().empty()) ||
         ((value.is_object() || value.is_array()) && value.empty());
}

// The file has a map where the message has a list of axes.
ordered_json grid_map(const ordered_json& axes) {
  ordered_json map = ordered_json::object();
  for (const ordered_json& axis : axes) map[axis.at("key").get<std::string>()] = axis.at("values");
  return map;
}

ordered_json without_defaults(const ordered_json& message) {
  ordered_json result = ordered_json::object();
  for (const auto& [key, value] : message.items())
    if (!is_default(value)) result[key] = value;
  return result;
}

}  // namespace

std::string write_sweep_file(const v1::SweepSpec& sweep, const std::string& comment) {
  std::string text;
  std::istringstream lines(comment);
  for (std::string line; std::getline(lines, line);) text += "# " + line + "\n";
  text += fmt::format("name: {}\nstudy: {}\n", flow(sweep.name()), flow(sweep.study()));
  if (sweep.max_parallel() > 0) text += fmt::format("max_parallel: {}\n", sweep.max_parallel());
  text += "stages:\n";
  for (const v1::StageSpec& stage : sweep.stages()) {
    ordered_json fields = without_defaults(to_json(stage));
    if (fields.contains("grid")) fields["grid"] = grid_map(fields["grid"]);
    for (const char* message : {"budget", "resources"})
      if (fields.contains(message)) fields[message] = without_defaults(fields[message]);
    const char* before = "  - ";
    for (const auto& [key, value] : fields.items()) {
      text += fmt::format("{}{}: {}\n", before, key, flow(value));
      before = "    ";
    }
  }
  return text;
}

}  // namespace scalelaw::cli
