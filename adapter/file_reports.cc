#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>

#include "adapter/event_file.h"
#include "adapter/records.h"

namespace scalelaw::adapter {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

std::string bytes_from(const fs::path& path, int64_t offset) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(offset);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The newest regular file whose path matches part by part.
std::optional<fs::path> newest(const fs::path& pattern) {
  std::vector<fs::path> found = {pattern.is_absolute() ? pattern.root_path() : fs::path(".")};
  for (const fs::path& part : pattern.relative_path()) {
    std::vector<fs::path> next;
    for (const fs::path& folder : found) {
      std::error_code error;
      if (part.string().find('*') == std::string::npos) {
        if (fs::exists(folder / part, error)) next.push_back(folder / part);
        continue;
      }
      for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
        if (fnmatch(part.c_str(), entry.path().filename().c_str(), 0) == 0) next.push_back(entry.path());
    }
    found = std::move(next);
  }
  std::error_code error;
  std::erase_if(found, [&](const fs::path& path) { return !fs::is_regular_file(path, error); });
  const auto last = std::max_element(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) {
    std::error_code ignored;
    return fs::last_write_time(a, ignored) < fs::last_write_time(b, ignored);
  });
  return last == found.end() ? std::nullopt : std::optional(*last);
}

void flatten(const json& value, const std::string& name, Record& record) {
  // JSON has no word for what is not finite.
  static const std::map<std::string, double> words = {{"nan", kNone}, {"inf", HUGE_VAL},      {"-inf", -HUGE_VAL},
                                                      {"NaN", kNone}, {"Infinity", HUGE_VAL}, {"-Infinity", -HUGE_VAL}};
  if (value.is_number()) {
    record[name] = value.get<double>();
  } else if (value.is_string() && words.contains(value.get_ref<const std::string&>())) {
    record[name] = words.at(value.get_ref<const std::string&>());
  } else if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) flatten(inner, name.empty() ? key : name + "/" + key, record);
  }
}

/// What Python prints of a dict of numbers and words, as JSON.
std::string as_json(std::string_view text) {
  static const std::vector<std::pair<std::string, std::string>> words = {
      {"True", "true"},   {"False", "false"},        {"None", "null"},        {"-inf", "\"-inf\""}, {"inf", "\"inf\""},
      {"nan", "\"nan\""}, {"-Infinity", "\"-inf\""}, {"Infinity", "\"inf\""}, {"NaN", "\"nan\""}};
  std::string result;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\' && i + 1 < text.size()) {
        result += text[i + 1] == '\'' ? "" : "\\";
        result += text[++i];
      } else if (c == quote) {
        quote = 0;
        result += '"';
      } else {
        result += c == '"' ? std::string("\\\"") : std::string(1, c);
      }
      continue;
    }
    if (c == '\'' || c == '"') {
      quote = c;
      result += '"';
      continue;
    }
    const auto word = std::find_if(words.begin(), words.end(),
                                   [&](const auto& one) { return text.substr(i).starts_with(one.first); });
    result += word == words.end() ? std::string(1, c) : word->second;
    if (word != words.end()) i += word->first.size() - 1;
  }
  return result;
}

Record record_of(std::string_view line) {
  Record record;
  if (line.find('{') == line.npos) return record;
  json object = json::parse(line, nullptr, false);
  if (!object.is_object()) object = json::parse(as_json(line), nullptr, false);
  if (object.is_object()) flatten(object, "", record);
  return record;
}

class JsonlReports : public Reports {
 public:
  explicit JsonlReports(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<std::vector<Record>> poll(bool ended) override {
    std::vector<Record> records;
    const std::optional<fs::path> file = newest(path_);
    if (!file) return records;
    std::error_code error;
    const auto size = static_cast<int64_t>(fs::file_size(*file, error));
    if (*file != file_ || size < offset_) {
      file_ = *file;
      offset_ = 0;
    }
    const std::string bytes = bytes_from(file_, offset_);
    std::string_view rest(bytes);
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      if (end == rest.npos && !ended) break;
      if (Record record = record_of(rest.substr(0, end)); !record.empty()) records.push_back(std::move(record));
      const size_t used = end == rest.npos ? rest.size() : end + 1;
      rest.remove_prefix(used);
      offset_ += static_cast<int64_t>(used);
    }
    return records;
  }

 private:
  const std::string path_;
  fs::path file_;
  int64_t offset_ = 0;
};

/// A file that is written anew as a whole: read anew when it has changed.
class RewrittenReports : public Reports {
 public:
  using Parse = std::function<std::vector<Record>(const std::string& text, bool ended)>;
  RewrittenReports(std::string path, Parse parse) : path_(std::move(path)), parse_(std::move(parse)) {}

  absl::StatusOr<std::vector<Record>> poll(bool ended) override {
    const std::optional<fs::path> file = newest(path_);
    if (!file) return std::vector<Record>();
    std::error_code error;
    const auto written = fs::last_write_time(*file, error);
    const auto size = fs::file_size(*file, error);
    if (*file == file_ && written == written_ && size == size_ && !ended) return std::vector<Record>();
    file_ = *file;
    written_ = written;
    size_ = size;
    std::vector<Record> records = parse_(bytes_from(file_, 0), ended);
    // Shorter than before: another file, or its writer began again.
    if (records.size() < given_) given_ = 0;
    records.erase(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(given_));
    given_ += records.size();
    return records;
  }

 private:
  const std::string path_;
  const Parse parse_;
  fs::path file_;
  fs::file_time_type written_;
  uintmax_t size_ = 0;
  size_t given_ = 0;
};

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> cells;
  while (true) {
    const size_t comma = line.find(',');
    std::string_view cell = line.substr(0, comma);
    while (!cell.empty() && (cell.back() == '\r' || cell.back() == ' ' || cell.back() == '"')) cell.remove_suffix(1);
    while (!cell.empty() && (cell.front() == ' ' || cell.front() == '"')) cell.remove_prefix(1);
    cells.push_back(cell);
    if (comma == line.npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

std::vector<Record> parse_csv(const std::string& text, bool ended) {
  std::vector<Record> records;
  std::vector<std::string> names;
  std::string_view rest(text);
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    if (end == rest.npos && !ended) break;
    const std::vector<std::string_view> cells = split(rest.substr(0, end));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (names.empty()) {
      names.assign(cells.begin(), cells.end());
      continue;
    }
    Record& record = records.emplace_back();
    for (size_t i = 0; i < std::min(cells.size(), names.size()); ++i) {
      double value = kNone;
      const auto [stop, error] = std::from_chars(cells[i].data(), cells[i].data() + cells[i].size(), value);
      if (!cells[i].empty() && error == std::errc() && stop == cells[i].data() + cells[i].size())
        record[names[i]] = value;
    }
  }
  return records;
}

std::vector<Record> parse_trainer_state(const std::string& text, bool) {
  std::vector<Record> records;
  // Half written: the whole comes with the next look.
  const json state = json::parse(text, nullptr, false);
  if (!state.is_object() || !state.contains("log_history") || !state["log_history"].is_array()) return records;
  for (const json& entry : state["log_history"]) flatten(entry, "", records.emplace_back());
  return records;
}

class TensorboardReports : public Reports {
 public:
  explicit TensorboardReports(std::string folder) : folder_(std::move(folder)) {}

  absl::StatusOr<std::vector<Record>> poll(bool) override {
    std::vector<Record> records;
    std::error_code error;
    std::vector<fs::path> files;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder_, error))
      if (is_event_file(entry.path().filename().string())) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      int64_t& offset = offsets_[file];
      const std::string bytes = bytes_from(file, offset);
      std::string_view rest(bytes);
      tensorboard::Event event;
      while (true) {
        const absl::StatusOr<bool> more = next_event(rest, event, file.string());
        if (!more.ok()) return more.status();
        if (!*more) break;
        Record record;
        for (const tensorboard::Summary::Value& value : event.summary().value())
          if (const auto number = scalar(value)) record[value.tag()] = *number;
        if (record.empty()) continue;
        record["step"] = static_cast<double>(event.step());
        records.push_back(std::move(record));
      }
      offset += static_cast<int64_t>(bytes.size() - rest.size());
    }
    return records;
  }

 private:
  const std::string folder_;
  std::map<fs::path, int64_t> offsets_;
};

}  // namespace

std::unique_ptr<Reports> jsonl_reports(const std::string& path) {
  return std::make_unique<JsonlReports>(path);
}
std::unique_ptr<Reports> csv_reports(const std::string& path) {
  return std::make_unique<RewrittenReports>(path, parse_csv);
}
std::unique_ptr<Reports> tensorboard_reports(const std::string& folder) {
  return std::make_unique<TensorboardReports>(folder);
}
std::unique_ptr<Reports> trainer_state_reports(const std::string& path) {
  return std::make_unique<RewrittenReports>(path, parse_trainer_state);
}

}  // namespace scalelaw::adapter
