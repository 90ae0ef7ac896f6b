// A header from the network, and a file that somebody has edited.
#include "server/access/tokens.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace scalelaw::server;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto parts = parse_token_text(text)) CHECK_THAT("scalelaw_" + parts->id + "_" + parts->secret == text);
  if (const auto tokens = tokens_from_json(text); tokens.ok()) {
    const std::string written = to_json(*tokens);
    const auto again = tokens_from_json(written);
    CHECK_THAT(again.ok() && to_json(*again) == written);
  }
  return 0;
}
