/// Ids of the coordinator, as types of their own so that they cannot be mixed up.
#pragma once

#include <cstdint>
#include <string>

namespace scalelaw::worker {

enum class AttemptId : std::int64_t {};
enum class RunId : std::int32_t {};

constexpr std::int64_t raw(AttemptId id) {
  return static_cast<std::int64_t>(id);
}
constexpr std::int32_t raw(RunId id) {
  return static_cast<std::int32_t>(id);
}
inline std::string text(AttemptId id) {
  return std::to_string(raw(id));
}
inline std::string text(RunId id) {
  return std::to_string(raw(id));
}

}  // namespace scalelaw::worker
