#include "server/expansion/families.h"

namespace scalelaw::server {

const std::vector<BuiltInFamily>& built_in_families() {
  static const std::vector<BuiltInFamily> families = {
      {"scorer", {}, {}, "scorer"},
      {"var-tokenizer", {}, {"scorer"}, "tokenizer"},
      {"var", {"tokenizer"}, {"scorer"}, "model"},
      {"diffusion-dit", {}, {"scorer", "text"}, "model"},
      {"diffusion-unet", {}, {"scorer", "text"}, "model"},
  };
  return families;
}

const BuiltInFamily* find_built_in_family(std::string_view name) {
  for (const BuiltInFamily& family : built_in_families())
    if (family.name == name) return &family;
  return nullptr;
}

}  // namespace scalelaw::server
