#include "worker/attempt/permission.h"

#include <fnmatch.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include <absl/strings/str_split.h>
#include <fmt/format.h>

namespace scalelaw::worker {
namespace {

struct Limit {
  std::string_view name;
  __rlimit_resource resource;
};
constexpr std::array<Limit, 8> kLimits = {{{"as", RLIMIT_AS},
                                           {"core", RLIMIT_CORE},
                                           {"cpu", RLIMIT_CPU},
                                           {"data", RLIMIT_DATA},
                                           {"fsize", RLIMIT_FSIZE},
                                           {"memlock", RLIMIT_MEMLOCK},
                                           {"nofile", RLIMIT_NOFILE},
                                           {"nproc", RLIMIT_NPROC}}};

bool matches(const std::string& pattern, const std::string& word) {
  return pattern == "*" || ::fnmatch(pattern.c_str(), word.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> parse_allowed_command(const std::string& text) {
  std::vector<std::string> words = absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (words.empty()) return absl::InvalidArgumentError("names no program");
  return words;
}

bool allows(const AllowedCommands& allowed, const std::vector<std::string>& argv) {
  return std::any_of(allowed.begin(), allowed.end(), [&](const std::vector<std::string>& pattern) {
    return pattern.size() <= argv.size() && std::equal(pattern.begin(), pattern.end(), argv.begin(), matches);
  });
}

absl::StatusOr<std::pair<std::string, std::uint64_t>> parse_limit(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  if (std::none_of(kLimits.begin(), kLimits.end(), [&](const Limit& limit) { return limit.name == name; })) {
    return absl::InvalidArgumentError(fmt::format(
        "\"{}\" is no limit; there are as, core, cpu, data, fsize, memlock, nofile and nproc, as in nofile=4096",
        name));
  }
  const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(value.data() + value.size() - end));
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t power = unit.size() == 1 ? kUnits.find(unit[0]) + 1 : 0;
  const bool known_unit = unit.empty() || (unit.size() == 1 && power != 0);
  if (error != std::errc() || !known_unit || number > (UINT64_MAX >> (10 * power))) {
    return absl::InvalidArgumentError(fmt::format("{}: \"{}\" is no amount, as in 4096 or 10G", name, value));
  }
  return std::pair(name, number << (10 * power));
}

bool apply(const ResourceLimits& limits) {
  for (const auto& [name, value] : limits) {
    for (const Limit& limit : kLimits) {
      const rlimit both{value, value};
      if (limit.name == name && ::setrlimit(limit.resource, &both) != 0) return false;
    }
  }
  return true;
}

}  // namespace scalelaw::worker
