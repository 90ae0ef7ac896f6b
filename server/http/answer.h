// What an HTTP request is answered with.
#pragma once

#include <string>

#include <absl/status/status.h>
#include <nlohmann/json.hpp>

namespace scalelaw::server {

struct HttpAnswer {
  int status = 200;
  std::string type = "application/json";
  std::string body = {};
  /// `gzip`, or empty.
  std::string encoding = {};
  /// The address is that of its content: it may be kept for ever.
  bool immutable = false;
};

inline HttpAnswer json_answer(const nlohmann::ordered_json& value) {
  return {.body = value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)};
}

/// The error as JSON, `{"error": "sweep: there is no sweep 3"}`, with the HTTP status that its code stands for.
HttpAnswer error_answer(const absl::Status& status);

}  // namespace scalelaw::server
