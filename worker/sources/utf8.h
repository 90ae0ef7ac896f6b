/// What trainers print is bytes; what the API carries is UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace scalelaw::worker {

/// `bytes` with everything that is not UTF-8, and NUL, replaced by U+FFFD.
std::string sanitize_utf8(std::string_view bytes);

/// Length of an unfinished UTF-8 sequence at the end of `bytes` (0–3): the beginning of a character whose rest may
/// still be written.
std::size_t unfinished_tail(std::string_view bytes);

}  // namespace scalelaw::worker
