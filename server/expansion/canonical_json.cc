#include "server/expansion/canonical_json.h"

#include <cmath>
#include <cstdint>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace scalelaw::server {
namespace {

using google::protobuf::Value;
using nlohmann::json;

constexpr double kExactIntegers = 9007199254740992.0;  // 2^53

json to_json(const google::protobuf::Struct& value);

json to_json(const Value& value) {
  switch (value.kind_case()) {
    case Value::kNumberValue: {
      double number = value.number_value();
      if (number == std::trunc(number) && std::fabs(number) <= kExactIntegers) return static_cast<int64_t>(number);
      return number;
    }
    case Value::kStringValue:
      return value.string_value();
    case Value::kBoolValue:
      return value.bool_value();
    case Value::kStructValue:
      return to_json(value.struct_value());
    case Value::kListValue: {
      json list = json::array();
      for (const Value& element : value.list_value().values()) list.push_back(to_json(element));
      return list;
    }
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      break;
  }
  return nullptr;
}

json to_json(const google::protobuf::Struct& value) {
  json object = json::object();  // sorted by key
  for (const auto& [key, field] : value.fields()) object[key] = to_json(field);
  return object;
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string canonical_json(const google::protobuf::Struct& value) {
  return dump(to_json(value));
}
std::string canonical_json(const Value& value) {
  return dump(to_json(value));
}

std::string short_number(double value, double scientific_from) {
  std::string plain = value == std::trunc(value) && std::fabs(value) <= kExactIntegers
                          ? fmt::format("{}", static_cast<int64_t>(value))
                          : fmt::format("{}", value);
  // fmt writes 1e+11 and 1e-05; people write 1e11 and 1e-5.
  auto tidy = [](std::string text) {
    size_t e = text.find('e');
    if (e == std::string::npos) return text;
    std::string exponent = text.substr(e + 1);
    bool negative = exponent[0] == '-';
    if (exponent[0] == '+' || negative) exponent.erase(0, 1);
    exponent.erase(0, exponent.find_first_not_of('0'));
    return text.substr(0, e) + (negative ? "e-" : "e") + exponent;
  };
  if (std::fabs(value) < scientific_from) return tidy(plain);
  for (int digits = 0; digits < 17; ++digits) {
    std::string scientific = fmt::format("{:.{}e}", value, digits);
    if (std::stod(scientific) != value) continue;
    scientific = tidy(scientific);
    return scientific.size() < plain.size() ? scientific : tidy(plain);
  }
  return tidy(plain);
}

}  // namespace scalelaw::server
