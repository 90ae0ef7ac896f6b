// What a trainer writes to its event file, cut anywhere: never more is consumed than there is, whole lines only, and
// the pieces give what the whole gives.
#include <cmath>

#include "tests/fuzz/check.h"
#include "worker/sources/event_parser.h"

using scalelaw::worker::EventContext;
using scalelaw::worker::parse_events;

namespace {

// As Source does: again and again from where the last call ended.
std::vector<std::string> parse_all(std::string_view bytes, std::size_t piece) {
  std::vector<std::string> records;
  std::size_t available = std::min(piece, bytes.size());
  while (true) {
    const bool at_end = available == bytes.size();
    EventContext context{.run_directory = "/run", .at_end = at_end, .max_records = 7};
    const auto parsed = parse_events(bytes.substr(0, available), context);
    CHECK_THAT(parsed.consumed <= available);
    CHECK_THAT(at_end || parsed.consumed == 0 || bytes[parsed.consumed - 1] == '\n' || parsed.records.size() == 7);
    for (const auto& record : parsed.records) {
      CHECK_THAT(record.record_case() != scalelaw::v1::Record::RECORD_NOT_SET);
      for (const auto& [name, value] : record.metrics().values()) CHECK_THAT(std::isfinite(value));
      records.push_back(record.SerializeAsString());
    }
    if (parsed.consumed == 0 && at_end) return records;
    bytes.remove_prefix(parsed.consumed);
    available = std::min(bytes.size(), available - parsed.consumed + piece);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 4096) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = parse_all(bytes, bytes.size() + 1);
  const auto pieces = parse_all(bytes, data[0] % 64 + 1);
  CHECK_THAT(whole == pieces);
  parse_events(bytes, {.run_directory = "/run", .mid_line = true, .at_end = true});
  return 0;
}
