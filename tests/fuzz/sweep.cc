// A sweep file of anybody's: parsed or refused with its place, and then expanded within the limits or refused.
#include "cli/sweep_file.h"
#include "server/expansion/expansion.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto file = scalelaw::cli::parse_sweep_file("fuzz.yaml", text, "/here");
  if (!file.ok()) {
    CHECK_THAT(absl::IsInvalidArgument(file.status()));
    CHECK_THAT(file.status().message().substr(0, 10) == "fuzz.yaml:");
    return 0;
  }
  // Large grids are allowed, and slow.
  const auto expansion = scalelaw::server::expand(file->spec);
  if (!expansion.ok()) {
    scalelaw::cli::locate(*file, std::string(expansion.status().message()));
    return 0;
  }
  int64_t runs = 0;
  for (const auto& stage : expansion->stages) runs += static_cast<int64_t>(stage.runs.size());
  CHECK_THAT(runs > 0 && runs <= scalelaw::server::kMaxRunsPerSweep);
  return 0;
}
