/// The trainer protocol's event file, as records. Pure: bytes in, records and the number of bytes they stand for out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "scalelaw/v1/workers.pb.h"

namespace scalelaw::worker {

/// A longer line is no event; it is reported as malformed and skipped.
inline constexpr std::size_t kMaxEventLine = 1 << 20;

/// A run of lines, parsed.
struct ParsedRecords {
  std::vector<v1::Record> records;
  /// Bytes of the input that the records stand for; the rest is an unfinished line, or left for the next call.
  std::size_t consumed = 0;
};

/// How to read a stretch of an event file.
struct EventContext {
  /// Relative paths in events are relative to this absolute directory.
  std::string run_directory = {};
  /// The bytes begin inside a line whose beginning was already reported as too long.
  bool mid_line = false;
  /// Nothing will be appended any more: an unfinished last line is malformed, not waited for.
  bool at_end = false;
  std::size_t max_records = 1000;
  /// Malformed lines kept word for word per call; more than these are only counted, in one more record, so that a
  /// trainer that writes garbage at full speed floods nobody.
  std::size_t max_malformed = 50;
};

/// Parses the finished lines at the start of `bytes`.
///
/// Whatever is no valid event (not JSON, NaN, wrong types, unknown event, a line above kMaxEventLine) becomes a
/// `malformed` record saying why, never an error. Empty lines are skipped. Unknown fields are ignored.
ParsedRecords parse_events(std::string_view bytes, const EventContext& context);

}  // namespace scalelaw::worker
