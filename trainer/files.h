// Writing files so that a crash or a full disk never leaves half of one.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace scalelaw::trainer {

/// A file could not be written; the message names the path and the cause ("No space left on device").
class WriteError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Writes `path` whole or not at all: temporary name beside it, fsync, rename, fsync of the folder. The old file stays
/// until the rename; the temporary one is removed on failure. Throws WriteError.
void write_file(const std::string& path, std::string_view bytes);

/// Appends a line in one write. Throws WriteError; a line that was cut short by a full disk is then taken back.
class LineFile {
 public:
  explicit LineFile(const std::string& path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  void append(std::string_view line);

 private:
  std::string path_;
  int descriptor_;
};

}  // namespace scalelaw::trainer
