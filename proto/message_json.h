// Any message of the API as JSON for programs: what the command line prints with --json and the web page reads.
#pragma once

#include <string>

#include <google/protobuf/message.h>
#include <nlohmann/json.hpp>

namespace scalelaw {

/// By reflection, so that a new field appears by itself. Names as in the proto (snake_case), 64-bit integers as
/// numbers, enums by their short lower-case names (`running`), timestamps as RFC 3339, Struct and Value as the JSON
/// that they stand for, NaN and infinities as null. Unset messages, `optional` fields and oneof members are left out;
/// every other field is present.
nlohmann::ordered_json to_json(const google::protobuf::Message& message);

/// `RUN_STATE_RUNNING` -> `running`: the value's name without its enum's prefix.
std::string short_name(const google::protobuf::EnumValueDescriptor& value);

}  // namespace scalelaw
