#include "proto/message_json.h"

#include <cctype>
#include <cmath>
#include <ctime>
#include <map>

#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

namespace scalelaw {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using nlohmann::ordered_json;

ordered_json number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

ordered_json to_json(const google::protobuf::Struct& value);

ordered_json to_json(const google::protobuf::Value& value) {
  using google::protobuf::Value;
  switch (value.kind_case()) {
    case Value::kNumberValue: {
      double x = value.number_value();
      constexpr double kExactIntegers = 9007199254740992.0;  // 2^53
      if (x == std::trunc(x) && std::fabs(x) <= kExactIntegers) return static_cast<int64_t>(x);
      return number(x);
    }
    case Value::kStringValue:
      return value.string_value();
    case Value::kBoolValue:
      return value.bool_value();
    case Value::kStructValue:
      return to_json(value.struct_value());
    case Value::kListValue: {
      ordered_json list = ordered_json::array();
      for (const Value& element : value.list_value().values()) list.push_back(to_json(element));
      return list;
    }
    default:
      return nullptr;
  }
}

// Maps have no order of their own; sorted output is the same every time.
ordered_json to_json(const google::protobuf::Struct& value) {
  std::map<std::string, ordered_json> sorted;
  for (const auto& [key, field] : value.fields()) sorted[key] = to_json(field);
  return sorted;
}

std::string rfc3339(const google::protobuf::Timestamp& time) {
  const std::time_t whole = time.seconds();
  std::tm utc{};
  gmtime_r(&whole, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, time.nanos() / 1'000'000);
}

ordered_json fields_object(const Message& message);

ordered_json message_value(const Message& message) {
  if (message.GetDescriptor() == google::protobuf::Timestamp::descriptor())
    return rfc3339(static_cast<const google::protobuf::Timestamp&>(message));
  if (message.GetDescriptor() == google::protobuf::Struct::descriptor())
    return to_json(static_cast<const google::protobuf::Struct&>(message));
  if (message.GetDescriptor() == google::protobuf::Value::descriptor())
    return to_json(static_cast<const google::protobuf::Value&>(message));
  return fields_object(message);
}

ordered_json singular(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.GetInt64(message, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.GetUInt64(message, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return number(reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return number(reflection.GetFloat(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.GetString(message, &field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return message_value(reflection.GetMessage(message, &field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return short_name(*reflection.GetEnum(message, &field));
  }
  return nullptr;
}

ordered_json element(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetRepeatedInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.GetRepeatedInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetRepeatedUInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.GetRepeatedUInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return number(reflection.GetRepeatedDouble(message, &field, index));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return number(reflection.GetRepeatedFloat(message, &field, index));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetRepeatedBool(message, &field, index);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.GetRepeatedString(message, &field, index);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return message_value(reflection.GetRepeatedMessage(message, &field, index));
    case FieldDescriptor::CPPTYPE_ENUM:
      return short_name(*reflection.GetRepeatedEnum(message, &field, index));
  }
  return nullptr;
}

// A map field is a list of {key, value} messages to reflection.
ordered_json map_object(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor& key = *field.message_type()->map_key();
  const FieldDescriptor& value = *field.message_type()->map_value();
  std::map<std::string, ordered_json> sorted;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    ordered_json name = singular(entry, key);
    sorted[name.is_string() ? name.get<std::string>() : name.dump()] = singular(entry, value);
  }
  return sorted;
}

ordered_json fields_object(const Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const google::protobuf::Descriptor& descriptor = *message.GetDescriptor();
  ordered_json object = ordered_json::object();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    if (field.is_map()) {
      object[field.name()] = map_object(message, field);
    } else if (field.is_repeated()) {
      ordered_json list = ordered_json::array();
      for (int j = 0; j < reflection.FieldSize(message, &field); ++j) list.push_back(element(message, field, j));
      object[field.name()] = std::move(list);
    } else if (!field.has_presence() || reflection.HasField(message, &field)) {
      object[field.name()] = singular(message, field);
    }
  }
  return object;
}

}  // namespace

std::string short_name(const EnumValueDescriptor& value) {
  // RunState -> RUN_STATE_
  std::string prefix;
  for (char c : value.type()->name()) {
    if (std::isupper(static_cast<unsigned char>(c)) && !prefix.empty()) prefix += '_';
    prefix += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  prefix += '_';
  std::string name = value.name();
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

ordered_json to_json(const Message& message) {
  return message_value(message);
}

}  // namespace scalelaw
