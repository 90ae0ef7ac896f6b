#include "server/http/target.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace scalelaw::server {

namespace {
std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      unsigned char byte = 0;
      if (i + 2 >= text.size()) return std::nullopt;
      const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
      if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
      result += static_cast<char>(byte);
      i += 2;
    } else {
      result += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return result;
}

/// Calls `part` with each piece between separators that is not empty; ends early where it says false.
template <class Function>
bool each_part(std::string_view text, char separator, Function part) {
  while (!text.empty()) {
    const size_t end = text.find(separator);
    if (const std::string_view piece = text.substr(0, end); !piece.empty() && !part(piece)) return false;
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return true;
}

template <class Number>
std::optional<Number> parse_whole(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}
/// Comma separated.
template <class Number>
std::optional<std::vector<Number>> parse_list(std::string_view text) {
  std::vector<Number> list;
  const bool all = each_part(text, ',', [&](std::string_view piece) {
    const std::optional<Number> value = parse_whole<Number>(piece);
    if (value) list.push_back(*value);
    return value.has_value();
  });
  return all ? std::optional(std::move(list)) : std::nullopt;
}
}  // namespace

absl::StatusOr<Target> parse_target(std::string_view target) {
  const auto wrong = [&] { return absl::InvalidArgumentError(fmt::format("\"{}\" is not a valid target", target)); };
  if (target.empty() || target.front() != '/') return wrong();
  const size_t question = target.find('?');
  Target result;
  const bool path = each_part(target.substr(0, question), '/', [&](std::string_view piece) {
    std::optional<std::string> part = decode(piece, false);
    if (!part || *part == "..") return false;
    result.path.push_back(*std::move(part));
    return true;
  });
  const bool query =
      question == std::string_view::npos || each_part(target.substr(question + 1), '&', [&](std::string_view piece) {
        const size_t equals = piece.find('=');
        std::optional<std::string> name = decode(piece.substr(0, equals), true);
        std::optional<std::string> value =
            equals == std::string_view::npos ? std::string() : decode(piece.substr(equals + 1), true);
        if (!name || !value) return false;
        result.query[*std::move(name)] = *std::move(value);
        return true;
      });
  if (!path || !query) return wrong();
  return result;
}

std::string Target::text(const std::string& name) const {
  const auto found = query.find(name);
  return found == query.end() ? "" : found->second;
}

absl::StatusOr<std::optional<double>> Target::number(const std::string& name) const {
  const std::string value = text(name);
  if (value.empty()) return std::optional<double>();
  const std::optional<double> number = parse_whole<double>(value);
  if (!number || !std::isfinite(*number))
    return absl::InvalidArgumentError(fmt::format("{}: \"{}\" is not a number, as in 1e12", name, value));
  return number;
}

absl::StatusOr<std::vector<double>> Target::numbers(const std::string& name) const {
  const std::optional<std::vector<double>> list = parse_list<double>(text(name));
  if (!list || !std::all_of(list->begin(), list->end(), [](double value) { return std::isfinite(value); }))
    return absl::InvalidArgumentError(
        fmt::format("{}: \"{}\" is not a list of numbers, as in 1e12,1e13", name, text(name)));
  return *list;
}

absl::StatusOr<std::vector<int32_t>> Target::ids(const std::string& name) const {
  const std::optional<std::vector<int32_t>> list = parse_list<int32_t>(text(name));
  if (!list)
    return absl::InvalidArgumentError(fmt::format("{}: \"{}\" is not a list of ids, as in 1,2", name, text(name)));
  return *list;
}

absl::StatusOr<int32_t> parse_id(const std::string& text, const std::string& what) {
  const std::optional<int32_t> id = parse_whole<int32_t>(text);
  if (!id) return absl::NotFoundError(fmt::format("{}: there is no {} \"{}\"", what, what, text));
  return *id;
}

}  // namespace scalelaw::server
