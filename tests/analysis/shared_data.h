// Published runs, kept beside the source tree rather than in it: see the README of each folder there.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace scalelaw::analysis {

/// A row of a CSV file by column.
class Row {
 public:
  Row(const std::vector<std::string>& columns, const std::vector<std::string>& fields) {
    for (size_t i = 0; i < columns.size() && i < fields.size(); ++i) fields_[columns[i]] = fields[i];
  }
  const std::string& text(const std::string& column) const { return fields_.at(column); }
  double number(const std::string& column) const { return std::stod(fields_.at(column)); }
  bool has(const std::string& column) const { return fields_.contains(column) && !fields_.at(column).empty(); }

 private:
  std::map<std::string, std::string> fields_;
};

/// The fields of a line; those in double quotes may hold commas.
inline std::vector<std::string> split_csv(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (char c : line) {
    if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      fields.emplace_back();
    else if (c != '\r')
      fields.back() += c;
  }
  return fields;
}

inline std::vector<Row> read_csv(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> columns = split_csv(line);
  std::vector<Row> rows;
  while (std::getline(file, line)) rows.emplace_back(columns, split_csv(line));
  return rows;
}

/// Tests on published runs: skipped where there are none.
class SharedData : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(SCALELAW_SHARED_DATA))
      GTEST_SKIP() << "no published runs at " << SCALELAW_SHARED_DATA
                   << "; set the CMake variable SCALELAW_SHARED_DATA";
  }
  /// The rows of a file there, such as `kyo_chinchilla/df.csv`.
  static std::vector<Row> shared_rows(const std::string& name) {
    return read_csv(std::filesystem::path(SCALELAW_SHARED_DATA) / name);
  }
};

}  // namespace scalelaw::analysis
