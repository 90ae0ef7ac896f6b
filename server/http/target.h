// What a request asks for: a path and its parameters.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace scalelaw::server {

struct Target {
  /// `/api/sweeps/3` as its parts, decoded; empty for `/`.
  std::vector<std::string> path;
  std::map<std::string, std::string> query;

  /// Empty where it is not given.
  std::string text(const std::string& name) const;
  /// Unset where it is not given. INVALID_ARGUMENT naming the parameter for what is no finite number.
  absl::StatusOr<std::optional<double>> number(const std::string& name) const;
  /// As above, comma separated; empty where it is not given.
  absl::StatusOr<std::vector<double>> numbers(const std::string& name) const;
  absl::StatusOr<std::vector<int32_t>> ids(const std::string& name) const;
};

/// INVALID_ARGUMENT for a path that does not begin with `/`, a `%` without two hexadecimal digits, or a part `..`.
absl::StatusOr<Target> parse_target(std::string_view target);

/// A number that identifies something. NOT_FOUND naming it for anything else.
absl::StatusOr<int32_t> parse_id(const std::string& text, const std::string& what);

}  // namespace scalelaw::server
