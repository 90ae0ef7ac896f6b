#pragma once

#include <cstddef>
#include <string>

namespace scalelaw::server {

inline constexpr size_t kMaxNameLength = 64;
/// What a sweep, a stage, a study, an artifact or an owner may be called: up to 64 letters, digits, '.', '_' and '-',
/// beginning with a letter or a digit.
bool is_name(const std::string& text);

}  // namespace scalelaw::server
