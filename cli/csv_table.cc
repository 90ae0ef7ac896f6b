#include "cli/csv_table.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "absl/status/status.h"

namespace scalelaw::cli {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Takes a table apart, record by record.
class Reader {
 public:
  Reader(std::string_view text, std::deque<std::string>& unquoted) : text_(text), unquoted_(unquoted) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
  }

  /// The next record that is not empty; false at the end and after an error.
  bool next(std::vector<std::string_view>& fields) {
    fields.clear();
    while (at_ < text_.size() && (text_[at_] == '\n' || text_.substr(at_).starts_with("\r\n"))) end_line();
    record_line_ = line_;
    if (at_ >= text_.size()) return false;
    while (true) {
      if (!field(fields)) return false;
      if (at_ < text_.size() && text_[at_] == ',') {
        ++at_;
        continue;
      }
      end_line();
      return true;
    }
  }
  /// Where the last record began.
  int line() const { return record_line_; }
  const std::string& error() const { return error_; }

 private:
  bool field(std::vector<std::string_view>& fields) {
    const size_t begin = at_;
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    if (at_ < text_.size() && text_[at_] == '"') return quoted_field(fields);
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n') {
      if (text_[at_] == '"') return fail("a quote inside a field that does not begin with one");
      ++at_;
    }
    size_t end = at_;
    if (end > begin && text_[end - 1] == '\r') --end;
    fields.push_back(trimmed(text_.substr(begin, end - begin)));
    return true;
  }

  bool quoted_field(std::vector<std::string_view>& fields) {
    const int first_line = line_;
    const size_t begin = ++at_;
    bool doubled = false;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '"') continue;
      if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
      doubled = true;
      ++at_;
    }
    if (at_ >= text_.size()) {
      line_ = first_line;
      return fail("a quote that is not closed");
    }
    std::string_view content = text_.substr(begin, at_ - begin);
    if (doubled) {
      std::string& single = unquoted_.emplace_back();
      for (size_t i = 0; i < content.size(); ++i) {
        single += content[i];
        if (content[i] == '"') ++i;
      }
      content = single;
    }
    fields.push_back(content);
    ++at_;
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
    if (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n')
      return fail("text after a closing quote; a quote inside a field is written twice");
    return true;
  }

  void end_line() {
    if (at_ < text_.size() && text_[at_] == '\r') ++at_;
    if (at_ < text_.size()) ++at_;
    ++line_;
  }
  bool fail(std::string_view what) {
    error_ = fmt::format("line {}: {}", line_, what);
    return false;
  }

  const std::string_view text_;
  std::deque<std::string>& unquoted_;
  size_t at_ = 0;
  int line_ = 1;
  int record_line_ = 1;
  std::string error_;
};

bool missing(std::string_view cell) {
  if (cell.size() > 4) return false;
  std::string lower;
  for (char c : cell) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower.empty() || lower == "na" || lower == "n/a" || lower == "nan" || lower == "null";
}

bool to_number(std::string_view cell, double& value) {
  if (cell.starts_with('+')) cell.remove_prefix(1);
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error == std::errc() && end == cell.data() + cell.size();
}

}  // namespace

absl::StatusOr<CsvTable> CsvTable::parse(std::string text, const std::string& name) {
  CsvTable table;
  table.name_ = name;
  table.text_ = std::make_unique<const std::string>(std::move(text));
  table.unquoted_ = std::make_unique<std::deque<std::string>>();
  Reader reader(*table.text_, *table.unquoted_);
  const auto error = [&name](const std::string& what) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", name, what));
  };
  std::vector<std::string_view> fields;
  if (!reader.next(fields)) return error(reader.error().empty() ? "is empty" : reader.error());
  std::set<std::string_view> seen;
  for (std::string_view field : fields) {
    table.header_.emplace_back(trimmed(field));
    if (!field.empty() && !seen.insert(field).second)
      return error(fmt::format("line {}: two columns are named '{}'", reader.line(), field));
  }
  while (reader.next(fields)) {
    if (fields.size() != table.header_.size())
      return error(
          fmt::format("line {}: {} fields, but the header has {}", reader.line(), fields.size(), table.header_.size()));
    table.cells_.insert(table.cells_.end(), fields.begin(), fields.end());
    table.rows_.push_back(static_cast<int>(table.rows_.size()));
    table.lines_.push_back(reader.line());
  }
  if (!reader.error().empty()) return error(reader.error());
  if (table.rows_.empty()) return error("has a header but no rows");
  return table;
}

absl::StatusOr<Eigen::ArrayXd> CsvTable::numbers(const std::string& column) const {
  if (const auto found = added_.find(column); found != added_.end()) return found->second;
  if (!has(column))
    return absl::InvalidArgumentError(
        fmt::format("{}: no column '{}'; columns: {}", name_, column, fmt::join(columns(), ", ")));
  Eigen::ArrayXd values(rows());
  for (Eigen::Index i = 0; i < rows(); ++i) {
    const std::string_view text = cell(i, column);
    if (to_number(text, values[i])) continue;
    if (!missing(text))
      return absl::InvalidArgumentError(fmt::format("{}, column '{}': '{}' is not a number", place(i), column, text));
    values[i] = std::numeric_limits<double>::quiet_NaN();
  }
  return values;
}

absl::StatusOr<Eigen::ArrayXd> CsvTable::equals(const std::string& column, std::string_view text) const {
  if (!in_file(column))
    return absl::InvalidArgumentError(
        fmt::format("{}: no column '{}' with text; columns: {}", name_, column, fmt::join(header_, ", ")));
  Eigen::ArrayXd values(rows());
  for (Eigen::Index i = 0; i < rows(); ++i) values[i] = cell(i, column) == text;
  return values;
}

bool CsvTable::in_file(const std::string& column) const {
  return !column.empty() && std::find(header_.begin(), header_.end(), column) != header_.end();
}

bool CsvTable::has(const std::string& column) const {
  return added_.contains(column) || in_file(column);
}

std::vector<std::string> CsvTable::columns() const {
  std::vector<std::string> all = header_;
  for (const auto& [column, values] : added_)
    if (!in_file(column)) all.push_back(column);
  return all;
}

void CsvTable::add(const std::string& column, Eigen::ArrayXd values) {
  added_[column] = std::move(values);
}

void CsvTable::keep(const Eigen::ArrayXd& condition) {
  std::vector<Eigen::Index> kept;
  for (Eigen::Index i = 0; i < condition.size(); ++i)
    if (condition[i] != 0) kept.push_back(i);
  for (auto& [column, values] : added_) values = Eigen::ArrayXd(values(kept));
  std::vector<int> rows;
  for (Eigen::Index i : kept) rows.push_back(rows_[static_cast<size_t>(i)]);
  rows_ = std::move(rows);
}

std::string CsvTable::place(Eigen::Index row) const {
  return fmt::format("{} line {}", name_, lines_[static_cast<size_t>(rows_[static_cast<size_t>(row)])]);
}

std::string_view CsvTable::cell(Eigen::Index row, const std::string& column) const {
  const auto found = std::find(header_.begin(), header_.end(), column) - header_.begin();
  return cells_[static_cast<size_t>(rows_[static_cast<size_t>(row)]) * header_.size() + static_cast<size_t>(found)];
}

absl::StatusOr<std::string> read_text(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) return absl::NotFoundError(fmt::format("{}: {}", path, std::strerror(errno)));
  std::string text;
  char buffer[1 << 16];
  for (size_t count; (count = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, count);
  const bool failed = std::ferror(file) != 0;
  const int reason = errno;
  if (file != stdin) std::fclose(file);
  if (failed) return absl::NotFoundError(fmt::format("{}: {}", path, std::strerror(reason)));
  return text;
}

absl::StatusOr<CsvTable> read_csv(const std::string& path) {
  absl::StatusOr<std::string> text = read_text(path);
  if (!text.ok()) return text.status();
  return CsvTable::parse(*std::move(text), path == "-" ? "standard input" : path);
}

}  // namespace scalelaw::cli
