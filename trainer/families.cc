#include <fmt/format.h>
#include <fmt/ranges.h>

#include "trainer/diffusion/family.h"
#include "trainer/family.h"
#include "trainer/scoring/scorer.h"
#include "trainer/var/families.h"

namespace scalelaw::trainer {

const std::vector<FamilyEntry>& families() {
  static const std::vector<FamilyEntry> all = {
      scorer_family(), diffusion_dit_family(), diffusion_unet_family(), var_tokenizer_family(), var_family(),
  };
  return all;
}

const FamilyEntry& family_named(const std::string& name) {
  std::vector<std::string> names;
  for (const FamilyEntry& entry : families()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  throw BadRun(fmt::format("family: must be one of {}, not \"{}\"", fmt::join(names, ", "), name));
}

const FamilyEntry& family_of_preset(const std::string& preset) {
  std::vector<std::string> names;
  for (const FamilyEntry& entry : families()) {
    for (const Preset& known : entry.presets) {
      if (known.name == preset) return entry;
      names.push_back(known.name);
    }
  }
  throw BadRun(fmt::format("preset: must be one of {}, not \"{}\"", fmt::join(names, ", "), preset));
}

nlohmann::json with_preset(const FamilyEntry& entry, nlohmann::json params) {
  if (!params.is_object() || !params.contains("preset")) return params;
  const nlohmann::json name = params["preset"];
  params.erase("preset");
  std::vector<std::string> names;
  for (const Preset& preset : entry.presets) {
    if (preset.name == name) {
      nlohmann::json values = preset.params;
      values.update(params);
      return values;
    }
    names.push_back(preset.name);
  }
  if (names.empty()) throw BadRun(fmt::format("preset: {} has none", entry.name));
  throw BadRun(fmt::format("preset: must be one of {}, not {}", fmt::join(names, ", "), name.dump()));
}

}  // namespace scalelaw::trainer
