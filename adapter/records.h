// What a program reports, wherever it writes it: records of named numbers.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace scalelaw::adapter {

/// Named numbers that belong to one moment; NaN and infinities are kept.
using Record = std::map<std::string, double>;

/// Something that is written while the program trains.
class Reports {
 public:
  virtual ~Reports() = default;
  /// Records that are new since the last call. `ended`: nothing will be written any more. Errors: INVALID_ARGUMENT
  /// naming the file and line.
  virtual absl::StatusOr<std::vector<Record>> poll(bool ended) = 0;
};

/// Lines of the program's output that match one of the regular expressions (RE2): the named groups that are numbers.
/// A line ends with LF or CR, as progress bars end theirs.
class OutputReports : public Reports {
 public:
  /// Errors: INVALID_ARGUMENT for an expression that is none, or has no named group.
  static absl::StatusOr<std::unique_ptr<OutputReports>> make(const std::vector<std::string>& expressions);
  ~OutputReports() override;
  void append(std::string_view bytes);
  absl::StatusOr<std::vector<Record>> poll(bool ended) override;

 private:
  struct Expressions;
  explicit OutputReports(std::unique_ptr<Expressions> expressions);
  std::unique_ptr<Expressions> expressions_;
  std::string unfinished_;
  std::vector<Record> records_;
};

/// Files below the current directory; `*` in a path's last folder or name stands for anything, and the newest file that
/// matches counts. A file that shrinks is read anew from its beginning.

/// A JSON object per line, or a Python dict as `print` writes it; nested keys are joined by `/`. Other lines are
/// skipped.
std::unique_ptr<Reports> jsonl_reports(const std::string& path);
/// A table whose first line names its columns; it may be rewritten with more columns, as Lightning does.
std::unique_ptr<Reports> csv_reports(const std::string& path);
/// Scalars of all event files in a folder and its folders: a record per event, with its `step`.
std::unique_ptr<Reports> tensorboard_reports(const std::string& folder);
/// Hugging Face's `trainer_state.json`: its `log_history`.
std::unique_ptr<Reports> trainer_state_reports(const std::string& path);

}  // namespace scalelaw::adapter
