#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <re2/re2.h>

#include "adapter/records.h"

namespace scalelaw::adapter {
namespace {

// A longer line is no report.
constexpr size_t kMaxLine = 64 << 10;

std::optional<double> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

struct OutputReports::Expressions {
  std::vector<std::unique_ptr<re2::RE2>> all;

  /// The named groups of the first expression that matches; empty where none does.
  Record match(std::string_view line) const {
    for (const std::unique_ptr<re2::RE2>& expression : all) {
      std::vector<re2::StringPiece> groups(static_cast<size_t>(expression->NumberOfCapturingGroups()) + 1);
      const re2::StringPiece text(line.data(), line.size());
      if (!expression->Match(text, 0, text.size(), re2::RE2::UNANCHORED, groups.data(),
                             static_cast<int>(groups.size())))
        continue;
      Record record;
      for (const auto& [name, group] : expression->NamedCapturingGroups()) {
        const re2::StringPiece& found = groups[static_cast<size_t>(group)];
        if (const auto value = number({found.data(), found.size()}); found.data() != nullptr && value)
          record[name] = *value;
      }
      if (!record.empty()) return record;
    }
    return {};
  }
};

absl::StatusOr<std::unique_ptr<OutputReports>> OutputReports::make(const std::vector<std::string>& expressions) {
  auto parsed = std::make_unique<Expressions>();
  for (const std::string& text : expressions) {
    auto expression = std::make_unique<re2::RE2>(text, re2::RE2::Quiet);
    if (!expression->ok())
      return absl::InvalidArgumentError(fmt::format("'{}' is no regular expression: {}", text, expression->error()));
    if (expression->NamedCapturingGroups().empty())
      return absl::InvalidArgumentError(
          fmt::format("'{}' has no named group; write one around each number, such as loss (?P<loss>[0-9.]+)", text));
    parsed->all.push_back(std::move(expression));
  }
  return std::unique_ptr<OutputReports>(new OutputReports(std::move(parsed)));
}

OutputReports::OutputReports(std::unique_ptr<Expressions> expressions) : expressions_(std::move(expressions)) {}
OutputReports::~OutputReports() = default;

void OutputReports::append(std::string_view bytes) {
  for (size_t end = bytes.find_first_of("\r\n"); end != bytes.npos; end = bytes.find_first_of("\r\n")) {
    unfinished_ += bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (Record record = expressions_->match(unfinished_); !record.empty()) records_.push_back(std::move(record));
    unfinished_.clear();
  }
  if (unfinished_.size() < kMaxLine) unfinished_ += bytes;
}

absl::StatusOr<std::vector<Record>> OutputReports::poll(bool ended) {
  if (ended) append("\n");
  return std::exchange(records_, {});
}

}  // namespace scalelaw::adapter
