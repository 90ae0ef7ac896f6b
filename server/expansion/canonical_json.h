// One text for one value: parameters as they are stored, compared and hashed.
#pragma once

#include <string>

#include <google/protobuf/struct.pb.h>

namespace scalelaw::server {

/// JSON without spaces, keys sorted by bytes, whole numbers up to 2^53 without a fraction, others in the shortest form
/// that reads back as the same double. Numbers must be finite.
std::string canonical_json(const google::protobuf::Struct& value);
std::string canonical_json(const google::protobuf::Value& value);

/// A number as people write it in a name: 64, 0.1, 1e11 (scientific from `scientific_from` on, and only where that is
/// exact and shorter).
std::string short_number(double value, double scientific_from = 1e6);

}  // namespace scalelaw::server
