#include "server/expansion/canonical_json.h"

#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include "proto/message_json.h"

namespace scalelaw::server {
namespace {

constexpr double kExactIntegers = 9007199254740992.0;  // 2^53

std::string dump(const google::protobuf::Message& value) {
  return to_json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string canonical_json(const google::protobuf::Struct& value) {
  return dump(value);
}
std::string canonical_json(const google::protobuf::Value& value) {
  return dump(value);
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
