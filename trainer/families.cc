#include <fmt/format.h>
#include <fmt/ranges.h>

#include "trainer/diffusion/family.h"
#include "trainer/family.h"
#include "trainer/scoring/scorer.h"
#include "trainer/var/families.h"

namespace scalelaw::trainer {

const std::vector<FamilyEntry>& families() {
  static const std::vector<FamilyEntry> all = {
      scorer_family(),
      diffusion_dit_family(),
      var_tokenizer_family(),
      var_family(),
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

}  // namespace scalelaw::trainer
