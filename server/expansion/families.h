// What the built-in trainers take and make, as far as a sweep's stages must fit together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace scalelaw::server {

struct BuiltInFamily {
  std::string name;
  /// Artifacts that it cannot do without, and those that it uses when they are there.
  std::vector<std::string> required;
  std::vector<std::string> optional;
  /// The artifact that a finished run leaves.
  std::string makes;
};

const std::vector<BuiltInFamily>& built_in_families();

/// Null if there is none of that name.
const BuiltInFamily* find_built_in_family(std::string_view name);

}  // namespace scalelaw::server
