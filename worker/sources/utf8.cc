#include "worker/sources/utf8.h"

#include <algorithm>
#include <cstdint>

namespace scalelaw::worker {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::uint8_t byte_at(std::string_view bytes, std::size_t i) {
  return static_cast<std::uint8_t>(bytes[i]);
}

// The length that a lead byte announces; 0 for what cannot lead (continuation bytes, overlong 0xC0 and 0xC1, > 0xF4).
std::size_t announced_length(std::uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// Whether `second` may follow `lead`: continuation bytes, less the overlong forms, the surrogates and what lies above
// U+10FFFF (Unicode 15, table 3-7).
bool may_follow(std::uint8_t lead, std::uint8_t second) {
  switch (lead) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return second >= 0x80 && second <= 0xBF;
  }
}

// How many bytes at `i` belong together: a whole character, or the longest well-formed beginning of one.
struct Piece {
  std::size_t length;
  bool whole;
};
Piece piece_at(std::string_view bytes, std::size_t i) {
  const std::uint8_t lead = byte_at(bytes, i);
  const std::size_t announced = announced_length(lead);
  if (announced == 0) return {1, false};
  std::size_t length = 1;
  while (length < announced && i + length < bytes.size()) {
    const std::uint8_t next = byte_at(bytes, i + length);
    if (length == 1 ? !may_follow(lead, next) : (next & 0xC0) != 0x80) break;
    ++length;
  }
  return {length, length == announced};
}

}  // namespace

std::string sanitize_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    const Piece piece = piece_at(bytes, i);
    text += piece.whole && bytes[i] != '\0' ? bytes.substr(i, piece.length) : kReplacement;
    i += piece.length;
  }
  return text;
}

std::size_t unfinished_tail(std::string_view bytes) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, bytes.size()); ++back) {
    const std::size_t i = bytes.size() - back;
    if (announced_length(byte_at(bytes, i)) <= 1) continue;
    const Piece piece = piece_at(bytes, i);
    return !piece.whole && piece.length == back ? back : 0;
  }
  return 0;
}

}  // namespace scalelaw::worker
