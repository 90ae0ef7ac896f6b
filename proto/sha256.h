#pragma once

#include <string>
#include <string_view>

namespace scalelaw {

/// In hexadecimal digits, lower case.
std::string sha256(std::string_view text);

}  // namespace scalelaw
