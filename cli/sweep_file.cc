#include "cli/sweep_file.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>
#include <nlohmann/json.hpp>

#include "proto/message_json.h"

namespace scalelaw::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string with_excerpt(const SweepFile& file, Position at, const std::string& message) {
  std::istringstream lines(file.text);
  std::string line;
  for (int i = 0; i < at.line && std::getline(lines, line); ++i) {
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  std::string marker(static_cast<size_t>(std::max(0, at.column - 1)), ' ');
  return fmt::format("{}:{}:{}: {}\n{:5} | {}\n{:5} | {}^", file.name, at.line, at.column, message, at.line, line, "",
                     marker);
}

// Thrown and caught within this file: the walk is deep and every level would only pass it on.
struct BadFile {
  Position at;
  std::string message;
};

Position position(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1};
}

[[noreturn]] void fail(const YAML::Node& node, const std::string& path, const std::string& message) {
  throw BadFile{position(node.Mark()), path.empty() ? message : fmt::format("{}: {}", path, message)};
}

std::string kind(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map:
      return "a map";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Scalar:
      return fmt::format("\"{}\"", node.Scalar());
    default:
      return "nothing";
  }
}

std::optional<double> as_number(const std::string& text) {
  double value = 0;
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || begin == end) return std::nullopt;
  return value;
}

bool is_quoted(const YAML::Node& node) {
  return node.Tag() == "!";
}
bool is_null(const YAML::Node& node) {
  if (node.IsNull()) return true;
  return node.IsScalar() && !is_quoted(node) &&
         (node.Scalar() == "~" || node.Scalar() == "null" || node.Scalar().empty());
}

class Reader {
 public:
  explicit Reader(SweepFile& file, std::string here) : file_(file), here_(std::move(here)) {}

  void read(const YAML::Node& node, const std::string& path, Message& message);

 private:
  using Pair = std::pair<YAML::Node, YAML::Node>;

  // The pairs of a map in file order, positions noted; fails on keys given twice.
  std::vector<Pair> pairs(const YAML::Node& node, const std::string& path);
  void field(const YAML::Node& node, const std::string& path, Message& message, const FieldDescriptor& field);
  void list_field(const YAML::Node& node, const std::string& path, Message& message, const FieldDescriptor& field);
  void map_field(const YAML::Node& node, const std::string& path, Message& message, const FieldDescriptor& field);
  void set_scalar(const YAML::Node& node, const std::string& path, Message& message, const FieldDescriptor& field);
  void grid(const YAML::Node& node, const std::string& path, v1::StageSpec& stage);
  google::protobuf::Value value(const YAML::Node& node, const std::string& path);
  google::protobuf::Struct structure(const YAML::Node& node, const std::string& path);

  std::string text(const YAML::Node& node, const std::string& path);
  double number(const YAML::Node& node, const std::string& path);
  int64_t whole_number(const YAML::Node& node, const std::string& path, int64_t low, int64_t high);
  bool flag(const YAML::Node& node, const std::string& path);
  int choice(const YAML::Node& node, const std::string& path, const google::protobuf::EnumDescriptor& type);

  void note(const std::string& path, const YAML::Node& node) { file_.positions.emplace(path, position(node.Mark())); }

  SweepFile& file_;
  std::string here_;
};

std::string join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

std::vector<Reader::Pair> Reader::pairs(const YAML::Node& node, const std::string& path) {
  std::vector<Pair> all;
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) fail(entry.first, path, "a key must be a plain word");
    const std::string& key = entry.first.Scalar();
    if (!seen.insert(key).second) fail(entry.first, join(path, key), "is given twice");
    note(join(path, key), is_null(entry.second) ? entry.first : entry.second);
    all.emplace_back(entry.first, entry.second);
  }
  return all;
}

void Reader::read(const YAML::Node& node, const std::string& path, Message& message) {
  const Descriptor& descriptor = *message.GetDescriptor();
  std::vector<std::string> allowed;
  for (int i = 0; i < descriptor.field_count(); ++i) allowed.push_back(descriptor.field(i)->name());
  if (!node.IsMap())
    fail(node, path, fmt::format("must be a map with the keys {}, not {}", fmt::join(allowed, ", "), kind(node)));
  for (const auto& [key, content] : pairs(node, path)) {
    const FieldDescriptor* known = descriptor.FindFieldByName(key.Scalar());
    if (known == nullptr) {
      std::string likely = nearest(key.Scalar(), allowed);
      fail(key, path,
           fmt::format("unknown key \"{}\"{}; allowed are {}", key.Scalar(),
                       likely.empty() ? "" : fmt::format(", did you mean \"{}\"?", likely), fmt::join(allowed, ", ")));
    }
    if (is_null(content)) fail(key, join(path, key.Scalar()), "has no value");
    field(content, join(path, key.Scalar()), message, *known);
  }
}

void Reader::field(const YAML::Node& node, const std::string& path, Message& message, const FieldDescriptor& field) {
  if (field.message_type() == v1::GridAxis::descriptor()) {
    grid(node, path, static_cast<v1::StageSpec&>(message));
  } else if (field.is_map()) {
    map_field(node, path, message, field);
  } else if (field.is_repeated()) {
    list_field(node, path, message, field);
  } else if (field.message_type() == google::protobuf::Struct::descriptor()) {
    message.GetReflection()->MutableMessage(&message, &field)->CopyFrom(structure(node, path));
  } else if (field.message_type() != nullptr) {
    read(node, path, *message.GetReflection()->MutableMessage(&message, &field));
  } else {
    set_scalar(node, path, message, field);
  }
}

void Reader::list_field(const YAML::Node& node, const std::string& path, Message& message,
                        const FieldDescriptor& field) {
  bool one_will_do = message.GetDescriptor() == v1::Budget::descriptor();
  if (node.IsScalar() && one_will_do) return set_scalar(node, path, message, field);
  if (!node.IsSequence()) {
    const char* example = field.name() == "command" ? ", such as [python3, train.py]; no shell reads it" : "";
    fail(node, path, fmt::format("must be a list{}, not {}", example, kind(node)));
  }
  for (size_t i = 0; i < node.size(); ++i) {
    std::string at = fmt::format("{}[{}]", path, i);
    note(at, node[i]);
    if (is_null(node[i])) fail(node[i], at, "has no value");
    if (field.message_type() == nullptr) {
      set_scalar(node[i], at, message, field);
      continue;
    }
    Message* element = message.GetReflection()->AddMessage(&message, &field);
    if (field.message_type() == google::protobuf::Struct::descriptor()) {
      element->CopyFrom(structure(node[i], at));
    } else {
      read(node[i], at, *element);
    }
  }
}

// Maps from words to words: needs, labels.
void Reader::map_field(const YAML::Node& node, const std::string& path, Message& message,
                       const FieldDescriptor& field) {
  if (!node.IsMap()) fail(node, path, fmt::format("must be a map, such as {{a: b}}, not {}", kind(node)));
  const Descriptor& entry = *field.message_type();
  for (const auto& [key, content] : pairs(node, path)) {
    Message* pair = message.GetReflection()->AddMessage(&message, &field);
    pair->GetReflection()->SetString(pair, entry.map_key(), key.Scalar());
    pair->GetReflection()->SetString(pair, entry.map_value(), text(content, join(path, key.Scalar())));
  }
}

void Reader::set_scalar(const YAML::Node& node, const std::string& path, Message& message,
                        const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  auto set = [&](auto setter, auto adder, auto value) {
    field.is_repeated() ? (reflection.*adder)(&message, &field, value) : (reflection.*setter)(&message, &field, value);
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string word = text(node, path);
      if (field.name() == "command")
        for (size_t at = word.find("{here}"); at != std::string::npos; at = word.find("{here}", at + here_.size()))
          word.replace(at, 6, here_);
      return set(&Reflection::SetString, &Reflection::AddString, word);
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return set(&Reflection::SetDouble, &Reflection::AddDouble, number(node, path));
    case FieldDescriptor::CPPTYPE_INT32: {
      auto whole = static_cast<int32_t>(whole_number(node, path, -1'000'000'000, 1'000'000'000));
      return set(&Reflection::SetInt32, &Reflection::AddInt32, whole);
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      return set(&Reflection::SetEnumValue, &Reflection::AddEnumValue, choice(node, path, *field.enum_type()));
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t limit = int64_t{1} << 53;
      return set(&Reflection::SetInt64, &Reflection::AddInt64, whole_number(node, path, -limit, limit));
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      auto whole = static_cast<uint32_t>(whole_number(node, path, 0, 1'000'000'000));
      return set(&Reflection::SetUInt32, &Reflection::AddUInt32, whole);
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return set(&Reflection::SetBool, &Reflection::AddBool, flag(node, path));
    default:
      fail(node, path, "is of a type that sweep files cannot hold");
  }
}

void Reader::grid(const YAML::Node& node, const std::string& path, v1::StageSpec& stage) {
  if (!node.IsMap())
    fail(node, path,
         fmt::format("must be a map from parameters to values, such as {{width: [32, 64]}}, not {}", kind(node)));
  for (const auto& [key, content] : pairs(node, path)) {
    std::string at = join(path, key.Scalar());
    v1::GridAxis& axis = *stage.add_grid();
    axis.set_key(key.Scalar());
    if (is_null(content)) fail(key, at, "has no value; give at least one");
    if (!content.IsSequence()) {
      *axis.add_values() = value(content, at);
      continue;
    }
    for (size_t i = 0; i < content.size(); ++i) {
      std::string element = fmt::format("{}[{}]", at, i);
      note(element, content[i]);
      *axis.add_values() = value(content[i], element);
    }
  }
}

// By YAML's core rules: quoted is text; true and false, null, numbers; all else is text.
google::protobuf::Value Reader::value(const YAML::Node& node, const std::string& path) {
  google::protobuf::Value result;
  if (is_null(node)) fail(node, path, "has no value");
  if (node.IsMap()) {
    *result.mutable_struct_value() = structure(node, path);
  } else if (node.IsSequence()) {
    result.mutable_list_value();
    for (size_t i = 0; i < node.size(); ++i) {
      std::string at = fmt::format("{}[{}]", path, i);
      note(at, node[i]);
      *result.mutable_list_value()->add_values() = value(node[i], at);
    }
  } else if (!is_quoted(node) && (node.Scalar() == "true" || node.Scalar() == "false")) {
    result.set_bool_value(node.Scalar() == "true");
  } else if (std::optional<double> number = as_number(node.Scalar()); number && !is_quoted(node)) {
    result.set_number_value(*number);
  } else {
    result.set_string_value(node.Scalar());
  }
  return result;
}

google::protobuf::Struct Reader::structure(const YAML::Node& node, const std::string& path) {
  if (!node.IsMap())
    fail(node, path, fmt::format("must be a map of parameters, such as {{width: 64}}, not {}", kind(node)));
  google::protobuf::Struct result;
  for (const auto& [key, content] : pairs(node, path)) {
    std::string at = join(path, key.Scalar());
    if (is_null(content)) fail(key, at, "has no value");
    (*result.mutable_fields())[key.Scalar()] = value(content, at);
  }
  return result;
}

std::string Reader::text(const YAML::Node& node, const std::string& path) {
  if (!node.IsScalar() || is_null(node)) fail(node, path, fmt::format("must be a word or text, not {}", kind(node)));
  return node.Scalar();
}

double Reader::number(const YAML::Node& node, const std::string& path) {
  std::optional<double> value = node.IsScalar() ? as_number(node.Scalar()) : std::nullopt;
  if (!value || is_quoted(node))
    fail(node, path, fmt::format("must be a number such as 0.5 or 1e11, not {}", kind(node)));
  return *value;
}

int64_t Reader::whole_number(const YAML::Node& node, const std::string& path, int64_t low, int64_t high) {
  std::optional<double> value = node.IsScalar() && !is_quoted(node) ? as_number(node.Scalar()) : std::nullopt;
  bool fits = value && *value == std::trunc(*value) && *value >= static_cast<double>(low) &&
              *value <= static_cast<double>(high);
  if (!fits)
    fail(node, path,
         fmt::format("must be a whole number {}, not {}",
                     low < 0 ? "such as 3 or 1e6" : fmt::format("from {} to {}", low, high), kind(node)));
  return static_cast<int64_t>(*value);
}

bool Reader::flag(const YAML::Node& node, const std::string& path) {
  if (node.IsScalar() && !is_quoted(node) && (node.Scalar() == "true" || node.Scalar() == "false"))
    return node.Scalar() == "true";
  fail(node, path, fmt::format("must be true or false, not {}", kind(node)));
}

// By their short names with hyphens: ORDER_CHEAPEST_FIRST is cheapest-first.
int Reader::choice(const YAML::Node& node, const std::string& path, const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> words;
  for (int i = 1; i < type.value_count(); ++i) {
    std::string& word = words.emplace_back(short_name(*type.value(i)));
    std::replace(word.begin(), word.end(), '_', '-');
    if (node.IsScalar() && node.Scalar() == word) return type.value(i)->number();
  }
  fail(node, path, fmt::format("must be {}, not {}", fmt::join(words, " or "), kind(node)));
}

void check_utf8(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    using nlohmann::json;
    const std::string valid = json::parse(json(line).dump(-1, ' ', false, json::error_handler_t::ignore));
    if (valid == line) continue;
    const auto bad = std::mismatch(line.begin(), line.end(), valid.begin(), valid.end()).first;
    throw BadFile{{number, static_cast<int>(bad - line.begin()) + 1}, "this byte is no UTF-8; save the file as UTF-8"};
  }
}

// YAML forbids tabs as indentation; the parser's own message for them is about something else.
void check_tabs(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    size_t first = line.find_first_not_of(' ');
    bool blank = line.find_first_not_of(" \t\r") == std::string::npos;
    if (!blank && line[first] == '\t')
      throw BadFile{{number, static_cast<int>(first) + 1}, "a tab cannot indent YAML; use spaces"};
  }
}

struct DocumentStart : YAML::EventHandler {
  YAML::Mark mark;
  void OnDocumentStart(const YAML::Mark& start) override { mark = start; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Not by LoadAll: it never ends where a document begins with what can begin none, such as a comma.
YAML::Node load(const std::string& text) {
  YAML::Node document;
  std::optional<YAML::Mark> second;
  try {
    document = YAML::Load(text);
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    DocumentStart start;
    if (parser.HandleNextDocument(start) && parser.HandleNextDocument(start)) second = start.mark;
  } catch (const YAML::Exception& error) {
    Position at = error.mark.is_null() ? Position{1, 1} : position(error.mark);
    throw BadFile{at, "not valid YAML: " + error.msg};
  }
  const bool empty = !document.IsDefined() || document.IsNull();
  if (empty && second) throw BadFile{position(*second), "not valid YAML: nothing can begin with this"};
  if (empty) throw BadFile{{1, 1}, "the file is empty; a sweep has at least a name, a study and stages"};
  if (second) throw BadFile{position(*second), "a file holds one sweep; this is a second one"};
  return document;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t next = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = row[j];
      row[j] = next;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t limit = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    size_t distance = edit_distance(word, candidate);
    if (distance >= limit) continue;
    limit = distance;
    best = candidate;
  }
  return best;
}

absl::StatusOr<SweepFile> parse_sweep_file(const std::string& name, const std::string& text, const std::string& here) {
  SweepFile file{name, text, {}, {}};
  try {
    check_utf8(text);
    check_tabs(text);
    Reader(file, here).read(load(text), "", file.spec);
  } catch (const BadFile& bad) {
    return absl::InvalidArgumentError(with_excerpt(file, bad.at, bad.message));
  }
  return file;
}

absl::StatusOr<SweepFile> read_sweep_file(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (path == "-") {
    std::string text(std::istreambuf_iterator<char>(std::cin), {});
    return parse_sweep_file("(standard input)", text, fs::current_path(error).string());
  }
  if (fs::is_directory(path, error)) return absl::NotFoundError(fmt::format("{} is a folder, not a sweep file", path));
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::NotFoundError(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  std::string text(std::istreambuf_iterator<char>(stream), {});
  return parse_sweep_file(path, text, fs::absolute(path, error).parent_path().string());
}

std::string locate(const SweepFile& file, const std::string& message) {
  std::string path = message.substr(0, message.find(": "));
  // A default or a missing field is not in the file itself; what contains it is.
  while (!path.empty()) {
    auto found = file.positions.find(path);
    if (found != file.positions.end()) return with_excerpt(file, found->second, message);
    size_t cut = path.find_last_of(".[");
    if (cut == std::string::npos) break;
    path.erase(cut);
  }
  return fmt::format("{}: {}", file.name, message);
}

}  // namespace scalelaw::cli
