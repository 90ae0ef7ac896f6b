#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/csv_table.h"
#include "cli/imports/foreign_run.h"

namespace scalelaw::cli {
namespace {

/// The columns whose cells are all numbers or empty.
std::map<std::string, Eigen::ArrayXd> number_columns(const CsvTable& table) {
  std::map<std::string, Eigen::ArrayXd> columns;
  for (const std::string& column : table.columns()) {
    absl::StatusOr<Eigen::ArrayXd> numbers = table.numbers(column);
    if (numbers.ok()) columns[column] = *std::move(numbers);
  }
  return columns;
}

absl::StatusOr<std::vector<int64_t>> steps_of(const CsvTable& table, const std::string& column) {
  const absl::StatusOr<Eigen::ArrayXd> numbers = table.numbers(column);
  if (!numbers.ok()) return numbers.status();
  std::vector<int64_t> steps;
  for (Eigen::Index row = 0; row < table.rows(); ++row) {
    const double step = (*numbers)[row];
    if (!(step >= 0) || step != std::floor(step) || step > 9e15)
      return absl::InvalidArgumentError(fmt::format("{}: column '{}' must hold whole numbers ≥ 0, not '{}'",
                                                    table.place(row), column, table.cell(row, column)));
    steps.push_back(static_cast<int64_t>(step));
  }
  return steps;
}

/// Columns that do not change within any run describe it.
void add_params(const CsvTable& table, const std::map<std::string, std::vector<Eigen::Index>>& rows,
                const std::string& column, std::map<std::string, ForeignRun>& runs) {
  for (const auto& [key, members] : rows) {
    std::string_view value;
    for (const Eigen::Index row : members) {
      const std::string_view cell = table.cell(row, column);
      if (cell.empty()) continue;
      if (!value.empty() && cell != value) return;
      value = cell;
    }
  }
  for (const auto& [key, members] : rows)
    for (const Eigen::Index row : members)
      if (!table.cell(row, column).empty()) runs[key].params[column] = table.cell(row, column);
}

ForeignRuns in_order(const std::vector<std::string>& keys, std::map<std::string, ForeignRun> runs) {
  ForeignRuns result;
  for (const std::string& key : keys) result.runs.push_back(std::move(runs[key]));
  return result;
}

absl::Status check_column(const CsvTable& table, const std::string& option, const std::string& column) {
  if (column.empty() || table.in_file(column)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("{}: no column '{}'; there are: {}", option, column, fmt::join(table.columns(), ", ")));
}

/// W&B's word for how a run ended.
bool is_failed(std::string_view state) {
  return state == "failed" || state == "crashed" || state == "killed";
}

/// `Step`, then a column `RUN - METRIC` for each run, with its `__MIN` and `__MAX`.
bool is_chart(const std::vector<std::string>& columns) {
  return columns.size() > 1 && std::all_of(columns.begin() + 1, columns.end(), [](const std::string& column) {
           return column.find(" - ") != std::string::npos;
         });
}

absl::StatusOr<ForeignRuns> read_chart(const CsvTable& table) {
  const std::vector<std::string> columns = table.columns();
  const absl::StatusOr<std::vector<int64_t>> steps = steps_of(table, columns[0]);
  if (!steps.ok()) return steps.status();
  std::map<std::string, ForeignRun> runs;
  std::vector<std::string> keys;
  for (size_t c = 1; c < columns.size(); ++c) {
    if (columns[c].ends_with("__MIN") || columns[c].ends_with("__MAX")) continue;
    const size_t dash = columns[c].rfind(" - ");
    const std::string key = columns[c].substr(0, dash), metric = columns[c].substr(dash + 3);
    const absl::StatusOr<Eigen::ArrayXd> numbers = table.numbers(columns[c]);
    if (!numbers.ok()) return numbers.status();
    const auto [run, fresh] = runs.try_emplace(key);
    if (fresh) keys.push_back(key);
    run->second.key = run->second.name = key;
    for (Eigen::Index row = 0; row < table.rows(); ++row)
      if (std::isfinite((*numbers)[row]))
        run->second.curves[metric][(*steps)[static_cast<size_t>(row)]] = (*numbers)[row];
  }
  return in_order(keys, std::move(runs));
}

absl::StatusOr<ForeignRuns> read_table(const CsvTable& table, const std::string& run_column,
                                       const std::string& step_column) {
  if (auto s = check_column(table, "--run", run_column); !s.ok()) return s;
  if (auto s = check_column(table, "--step", step_column); !s.ok()) return s;
  const std::string step = step_column.empty() && table.in_file("step") ? "step" : step_column;
  std::vector<int64_t> steps(static_cast<size_t>(table.rows()), 1);
  if (!step.empty()) {
    absl::StatusOr<std::vector<int64_t>> given = steps_of(table, step);
    if (!given.ok()) return given.status();
    steps = *std::move(given);
  }

  std::map<std::string, std::vector<Eigen::Index>> rows;
  std::vector<std::string> keys;
  for (Eigen::Index row = 0; row < table.rows(); ++row) {
    const std::string key =
        run_column.empty() ? std::to_string(table.row_number(row)) : std::string(table.cell(row, run_column));
    if (key.empty())
      return absl::InvalidArgumentError(fmt::format("{}: column '{}' names no run", table.place(row), run_column));
    std::vector<Eigen::Index>& members = rows[key];
    if (members.empty()) keys.push_back(key);
    members.push_back(row);
  }

  std::map<std::string, ForeignRun> runs;
  for (const std::string& key : keys) runs[key].key = runs[key].name = key;
  for (const auto& [column, numbers] : number_columns(table)) {
    if (column == run_column || column == step) continue;
    for (const auto& [key, members] : rows)
      for (const Eigen::Index row : members)
        if (std::isfinite(numbers[row])) runs[key].curves[column][steps[static_cast<size_t>(row)]] = numbers[row];
  }
  for (const std::string& column : table.columns())
    if (column != run_column && column != step) add_params(table, rows, column, runs);
  return in_order(keys, std::move(runs));
}

}  // namespace

absl::StatusOr<ForeignRuns> read_csv_runs(const ForeignSource& source) {
  const absl::StatusOr<CsvTable> table = read_csv(source.path);
  if (!table.ok()) return table.status();
  return read_table(*table, source.run_column, source.step_column);
}

absl::StatusOr<ForeignRuns> read_wandb_runs(const ForeignSource& source) {
  const absl::StatusOr<CsvTable> table = read_csv(source.path);
  if (!table.ok()) return table.status();
  if (is_chart(table->columns())) return read_chart(*table);
  std::string run = source.run_column;
  for (const char* usual : {"ID", "Name"})
    if (run.empty() && table->in_file(usual)) run = usual;
  if (run.empty())
    return absl::InvalidArgumentError(
        fmt::format("{}: is neither a table of runs (columns Name or ID) nor a chart (columns Step and \"RUN - "
                    "METRIC\") as W&B exports them; its columns: {}",
                    source.path, fmt::join(table->columns(), ", ")));
  absl::StatusOr<ForeignRuns> all = read_table(*table, run, source.step_column);
  if (!all.ok()) return all.status();
  ForeignRuns kept;
  for (ForeignRun& one : all->runs) {
    const auto state = one.params.find("State"), name = one.params.find("Name");
    if (name != one.params.end()) one.name = name->second;
    if (state != one.params.end() && state->second == "running") {
      ++kept.unfinished;
      continue;
    }
    one.failed = state != one.params.end() && is_failed(state->second);
    kept.runs.push_back(std::move(one));
  }
  return kept;
}

}  // namespace scalelaw::cli
