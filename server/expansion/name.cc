#include "server/expansion/name.h"

#include <algorithm>

namespace scalelaw::server {

bool is_name(const std::string& text) {
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  if (text.empty() || text.size() > kMaxNameLength || !plain(text[0])) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace scalelaw::server
