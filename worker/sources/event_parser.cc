#include "worker/sources/event_parser.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "worker/sources/utf8.h"

namespace scalelaw::worker {
namespace {

using nlohmann::json;

// Of a malformed line, this much is kept for the user.
constexpr std::size_t kKeptOfMalformed = 2048;

template <typename... Args>
absl::Status wrong(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

absl::StatusOr<double> number(const json& value, const std::string& field) {
  if (!value.is_number()) return wrong("{} must be a number, not {}", field, value.type_name());
  const double number = value.get<double>();
  if (!std::isfinite(number)) return wrong("{} must be finite", field);
  return number;
}

// A count: 50, 50.0 and 5e1 are the same to people and to some JSON writers.
absl::StatusOr<std::int64_t> count(const json& value, const std::string& field) {
  if (value.is_number_unsigned()) {
    const auto n = value.get<std::uint64_t>();
    if (n <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return static_cast<std::int64_t>(n);
  } else if (value.is_number_float()) {
    const double n = value.get<double>();
    if (n >= 0 && n <= 9007199254740992.0 && n == std::floor(n)) return static_cast<std::int64_t>(n);
  }
  return wrong("{} must be a whole number ≥ 0, not {}", field, value.dump());
}

absl::StatusOr<std::string> name(const json& value, const std::string& field) {
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
    return wrong("{} must be a non-empty string", field);
  }
  for (const char c : value.get_ref<const std::string&>()) {
    if (static_cast<unsigned char>(c) < 0x20) return wrong("{} must not contain control characters", field);
  }
  return value.get<std::string>();
}

// Reads fields of one event and remembers the first thing wrong with them.
class Fields {
 public:
  Fields(const json& event, std::string event_name) : event_(event), event_name_(std::move(event_name)) {}

  std::int64_t required_count(const char* key) { return take(key, count, true, std::int64_t{0}); }
  std::int64_t optional_count(const char* key) { return take(key, count, false, std::int64_t{0}); }
  double required_number(const char* key) { return take(key, number, true, 0.0); }
  double optional_number(const char* key) { return take(key, number, false, 0.0); }
  std::string required_name(const char* key) { return take(key, name, true, std::string()); }
  std::string optional_name(const char* key) { return take(key, name, false, std::string()); }

  bool has(const char* key) const { return event_.contains(key); }
  const json& at(const char* key) const { return event_.at(key); }
  std::string path(const std::string& key) const { return event_name_ + "." + key; }
  void fail(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  const absl::Status& status() const { return status_; }

 private:
  template <typename T>
  T take(const char* key, absl::StatusOr<T> (*read)(const json&, const std::string&), bool required, T fallback) {
    const auto found = event_.find(key);
    if (found == event_.end()) {
      if (required) fail(wrong("{} is missing", path(key)));
      return fallback;
    }
    absl::StatusOr<T> value = read(*found, path(key));
    if (value.ok()) return *std::move(value);
    fail(value.status());
    return fallback;
  }

  const json& event_;
  std::string event_name_;
  absl::Status status_;
};

std::string absolute(const std::string& path, const EventContext& context) {
  return (std::filesystem::path(context.run_directory) / path).lexically_normal().string();
}

void read_start(Fields& fields, v1::TrainerStart& start) {
  start.set_params(fields.optional_count("params"));
  start.set_params_total(fields.optional_count("params_total"));
  start.set_flops_per_sample(fields.optional_number("flops_per_sample"));
  start.set_step(fields.optional_count("step"));
  if (start.flops_per_sample() < 0) fields.fail(wrong("start.flops_per_sample must be ≥ 0"));
}

void read_metrics(Fields& fields, v1::TrainerMetrics& metrics) {
  metrics.set_step(fields.required_count("step"));
  metrics.set_samples(fields.optional_count("samples"));
  metrics.set_flops(fields.optional_number("flops"));
  if (metrics.flops() < 0) fields.fail(wrong("metrics.flops must be ≥ 0"));
  if (!fields.has("values") || !fields.at("values").is_object()) {
    return fields.fail(wrong("metrics.values must be an object of name: number"));
  }
  for (const auto& [key, value] : fields.at("values").items()) {
    const absl::StatusOr<std::string> metric = name(json(key), "a name in metrics.values");
    const absl::StatusOr<double> read = number(value, fmt::format("metrics.values.{}", key));
    if (!metric.ok()) return fields.fail(metric.status());
    if (!read.ok()) return fields.fail(read.status());
    (*metrics.mutable_values())[*metric] = *read;
  }
}

void read_progress(Fields& fields, v1::TrainerProgress& progress) {
  progress.set_fraction(fields.required_number("fraction"));
  if (progress.fraction() < 0 || progress.fraction() > 1) {
    fields.fail(wrong("progress.fraction must be in [0, 1], not {}", progress.fraction()));
  }
  // null: a trainer that does not know yet.
  if (fields.has("seconds_left") && !fields.at("seconds_left").is_null()) {
    progress.set_seconds_left(fields.required_number("seconds_left"));
    if (progress.seconds_left() < 0) fields.fail(wrong("progress.seconds_left must be ≥ 0"));
  }
}

void read_checkpoint(Fields& fields, const EventContext& context, v1::TrainerCheckpoint& checkpoint) {
  checkpoint.set_step(fields.required_count("step"));
  checkpoint.set_path(absolute(fields.required_name("path"), context));
}

void read_artifact(Fields& fields, const EventContext& context, v1::TrainerArtifact& artifact) {
  artifact.set_name(fields.required_name("name"));
  artifact.set_path(absolute(fields.required_name("path"), context));
  artifact.set_kind(fields.optional_name("kind"));
}

absl::StatusOr<v1::Record> parse_event(std::string_view line, const EventContext& context) {
  const json event = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (event.is_discarded()) return wrong("not JSON");
  if (!event.is_object()) return wrong("not a JSON object");
  const auto kind = event.find("event");
  if (kind == event.end() || !kind->is_string()) return wrong("no \"event\"");

  const auto& event_name = kind->get_ref<const std::string&>();
  Fields fields(event, event_name);
  v1::Record record;
  if (event_name == "start") {
    read_start(fields, *record.mutable_start());
  } else if (event_name == "metrics") {
    read_metrics(fields, *record.mutable_metrics());
  } else if (event_name == "progress") {
    read_progress(fields, *record.mutable_progress());
  } else if (event_name == "checkpoint") {
    read_checkpoint(fields, context, *record.mutable_checkpoint());
  } else if (event_name == "artifact") {
    read_artifact(fields, context, *record.mutable_artifact());
  } else {
    return wrong("unknown event; known: start, metrics, progress, checkpoint, artifact");
  }
  if (!fields.status().ok()) return fields.status();
  return record;
}

std::string describe_malformed(std::string_view why, std::string_view line) {
  if (line.size() <= kKeptOfMalformed) return fmt::format("{}: {}", why, sanitize_utf8(line));
  return fmt::format("{}: {}… ({} bytes)", why, sanitize_utf8(line.substr(0, kKeptOfMalformed)), line.size());
}

// Collects records, and counts the malformed lines that are too many to keep.
class Collector {
 public:
  explicit Collector(const EventContext& context) : context_(context) {}

  void line(std::string_view line) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos) return;
    if (line.size() > kMaxEventLine) return malformed("line longer than 1 MiB", line);
    absl::StatusOr<v1::Record> record = parse_event(line, context_);
    if (record.ok()) {
      parsed_.records.push_back(*std::move(record));
    } else {
      malformed(std::string(record.status().message()), line);
    }
  }
  void malformed(std::string_view why, std::string_view line) {
    if (++malformed_ > context_.max_malformed) return;
    parsed_.records.emplace_back().set_malformed(describe_malformed(why, line));
  }
  void consume(std::size_t bytes) { parsed_.consumed += bytes; }
  std::size_t consumed() const { return parsed_.consumed; }
  bool full() const { return parsed_.records.size() >= context_.max_records; }

  ParsedRecords finish() && {
    if (malformed_ > context_.max_malformed) {
      parsed_.records.emplace_back().set_malformed(
          fmt::format("and {} more lines that are no events", malformed_ - context_.max_malformed));
    }
    return std::move(parsed_);
  }

 private:
  const EventContext& context_;
  ParsedRecords parsed_;
  std::size_t malformed_ = 0;
};

}  // namespace

ParsedRecords parse_events(std::string_view bytes, const EventContext& context) {
  Collector collector(context);
  if (context.mid_line) {
    const std::size_t newline = bytes.find('\n');
    collector.consume(newline == std::string_view::npos ? bytes.size() : newline + 1);
  }
  while (collector.consumed() < bytes.size() && !collector.full()) {
    const std::string_view rest = bytes.substr(collector.consumed());
    const std::size_t newline = rest.find('\n');
    if (newline != std::string_view::npos) {
      collector.line(rest.substr(0, newline));
      collector.consume(newline + 1);
    } else if (rest.size() > kMaxEventLine) {
      collector.malformed("line longer than 1 MiB", rest);
      collector.consume(rest.size());
    } else if (context.at_end) {
      collector.malformed("unfinished last line", rest);
      collector.consume(rest.size());
    } else {
      break;
    }
  }
  return std::move(collector).finish();
}

}  // namespace scalelaw::worker
