// Numbers as people read them, with their units.
#pragma once

#include <cstdint>
#include <string>

#include <google/protobuf/timestamp.pb.h>

namespace scalelaw::cli {

/// `1.6e12 FLOPs`: two digits after the point at most; below 1e4 plain. 0 is `0 FLOPs`.
std::string format_flops(double flops);
/// The same without the unit: `1.6e12`.
std::string format_scientific(double value);
/// `512`, `183k`, `1.24M`, `2.01B`, `3.1T`: three digits.
std::string format_count(double count);
/// Four significant digits: `0.8123`, `12.35`, `1.235e-05`.
std::string format_value(double value);
/// `0.4 s`, `12 s`, `1 m 20 s`, `2 h 05 m`, `3 d 4 h`. Negative counts as 0.
std::string format_duration(double seconds);
/// `42 %`; never `100 %` before the end, nor `0 %` after the start.
std::string format_percent(double fraction);
/// A reason of several lines as one: the first and the last, ` … ` where something was left out. Control characters,
/// which could move the cursor, become spaces.
std::string one_line(const std::string& text);

/// Seconds since 1970, as the messages carry time.
double seconds(const google::protobuf::Timestamp& time);

}  // namespace scalelaw::cli
