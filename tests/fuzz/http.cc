// The target of an HTTP request: whatever it holds, its parts never lead out of what is served.
#include "server/http/target.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace scalelaw::server;
  const auto target = parse_target(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!target.ok()) {
    CHECK_THAT(absl::IsInvalidArgument(target.status()));
    return 0;
  }
  for (const std::string& part : target->path) {
    CHECK_THAT(part != "..");
    if (const auto id = parse_id(part, "id"); !id.ok()) CHECK_THAT(absl::IsNotFound(id.status()));
  }
  for (const auto& [name, value] : target->query) {
    CHECK_THAT(target->text(name) == value);
    if (const auto number = target->number(name); !number.ok()) CHECK_THAT(absl::IsInvalidArgument(number.status()));
    if (const auto numbers = target->numbers(name); !numbers.ok())
      CHECK_THAT(absl::IsInvalidArgument(numbers.status()));
    if (const auto ids = target->ids(name); !ids.ok()) CHECK_THAT(!ids.status().message().empty());
  }
  return 0;
}
