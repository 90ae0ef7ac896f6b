#include "cli/csv_observations.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "absl/status/status.h"
#include "analysis/expression.h"
#include "analysis/form.h"
#include "cli/csv_table.h"

namespace scalelaw::cli {
namespace {

/// The roles that have a symbol.
constexpr std::array<const char*, 5> kSymbols = {"N", "D", "C", "U", "M"};

/// Puts the option's name before what went wrong in it.
absl::Status in_option(std::string_view option, const absl::Status& status) {
  return {status.code(), fmt::format("{}: {}", option, std::string(status.message()))};
}

absl::Status derive(const std::vector<std::string>& definitions, CsvTable& table,
                    std::map<std::string, std::string>& derived) {
  for (const std::string& definition : definitions) {
    const size_t equals = definition.find('=');
    std::string name = definition.substr(0, equals);
    name.erase(0, name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    if (equals == definition.npos || name.empty())
      return absl::InvalidArgumentError(fmt::format("--derive '{}': write NAME=EXPRESSION", definition));
    const auto expression = analysis::parse_expression(definition.substr(equals + 1));
    if (!expression.ok()) return in_option("--derive", expression.status());
    absl::StatusOr<Eigen::ArrayXd> values = analysis::evaluate(*expression, table);
    if (!values.ok()) return in_option("--derive", values.status());
    table.add(name, *std::move(values));
    derived[name] = definition;
  }
  return absl::OkStatus();
}

absl::Status filter(const std::vector<std::string>& conditions, CsvTable& table) {
  const Eigen::Index before = table.rows();
  for (const std::string& text : conditions) {
    const auto condition = analysis::parse_expression(text);
    if (!condition.ok()) return in_option("--where", condition.status());
    if (!condition->condition())
      return absl::InvalidArgumentError(fmt::format("--where '{}': is no condition; write one such as loss<4.9", text));
    const absl::StatusOr<Eigen::ArrayXd> holds = analysis::evaluate(*condition, table);
    if (!holds.ok()) return in_option("--where", holds.status());
    table.keep(*holds);
  }
  if (table.rows() == 0)
    return absl::FailedPreconditionError(fmt::format("--where: holds for none of the {} rows", before));
  return absl::OkStatus();
}

/// Which column of the table plays a role: of the roles that the query names, and of those that columns are named for.
class Casting {
 public:
  Casting(const CsvQuery& query, const CsvTable& table) : query_(query), table_(table) {}

  /// Role → column, and the roles that the law is of.
  absl::Status cast(std::map<std::string, std::string>& roles, std::vector<std::string>& x) const {
    for (const std::string& entry : query_.x) {
      const size_t equals = entry.find('=');
      const std::string role = analysis::column_name(entry.substr(0, equals));
      const std::string column = equals == entry.npos ? column_for(entry) : entry.substr(equals + 1);
      if (!table_.has(column)) return in_option("--x", table_.numbers(column).status());
      if (!roles.emplace(role, column).second)
        return absl::InvalidArgumentError(fmt::format("--x: {} is given twice", role));
      x.push_back(role);
    }
    for (const char* symbol : kSymbols)
      if (const std::string column = column_for(symbol); table_.has(column))
        roles.emplace(analysis::column_name(symbol), column);
    if (const std::vector<std::string> own = columns_of_form(); !own.empty()) return cast_for_form(own, roles, x);
    if (x.empty()) add_from_law(roles, x);
    return absl::OkStatus();
  }

 private:
  /// What the form is of where the query does not say; empty for an expression.
  std::vector<std::string> columns_of_form() const {
    if (query_.law.empty()) return query_.x.empty() ? std::vector<std::string>{"flops"} : std::vector<std::string>{};
    const auto form = analysis::make_form(query_.law, {});
    return form ? form->default_columns() : std::vector<std::string>{};
  }

  absl::Status cast_for_form(const std::vector<std::string>& own, const std::map<std::string, std::string>& roles,
                             std::vector<std::string>& x) const {
    if (std::is_permutation(x.begin(), x.end(), own.begin(), own.end())) x = own;
    if (!x.empty()) return absl::OkStatus();
    for (const std::string& role : own)
      if (!roles.contains(role))
        return absl::InvalidArgumentError(
            fmt::format("--x: which column holds {}? Write --x {}=COLUMN; columns of {}: {}", role, symbol_of(role),
                        query_.path, fmt::join(table_.columns(), ", ")));
    x = own;
    return absl::OkStatus();
  }

  static std::string symbol_of(const std::string& name) {
    for (const char* symbol : kSymbols)
      if (name == analysis::column_name(symbol)) return symbol;
    return name;
  }

  /// The column of this name, or of the role's other name.
  std::string column_for(const std::string& name) const {
    if (table_.has(name)) return name;
    if (const std::string role = analysis::column_name(name); table_.has(role)) return role;
    const std::string symbol = symbol_of(name);
    return table_.has(symbol) ? symbol : name;
  }

  void add_from_law(std::map<std::string, std::string>& roles, std::vector<std::string>& x) const {
    const auto expression = analysis::parse_expression(query_.law);
    // What is wrong with it, the fit says.
    if (!expression.ok()) return;
    for (const std::string& name : analysis::names(*expression)) {
      const std::string role = analysis::column_name(name);
      if (!roles.contains(role) && !table_.has(name)) continue;
      roles.emplace(role, name);
      if (std::find(x.begin(), x.end(), role) == x.end()) x.push_back(role);
    }
  }

  const CsvQuery& query_;
  const CsvTable& table_;
};

/// A column's numbers, held against what they must be, with errors that say where they are not.
class Checked {
 public:
  Checked(const CsvTable& table, const std::map<std::string, std::string>& derived)
      : table_(table), derived_(derived) {}

  template <class Condition>
  absl::StatusOr<Eigen::ArrayXd> read(const std::string& column, std::string_view must_be, Condition&& holds) const {
    absl::StatusOr<Eigen::ArrayXd> values = table_.numbers(column);
    if (!values.ok()) return values;
    for (Eigen::Index i = 0; i < values->size(); ++i)
      if (!std::isfinite((*values)[i]) || !holds((*values)[i]))
        return absl::InvalidArgumentError(fmt::format("{} must be {}, not {}; leave such rows out with --where",
                                                      where(i, column), must_be, what(i, column, (*values)[i])));
    return values;
  }

 private:
  std::string where(Eigen::Index row, const std::string& column) const {
    const auto definition = derived_.find(column);
    return definition == derived_.end() ? fmt::format("{}, column '{}':", table_.place(row), column)
                                        : fmt::format("{}, {}:", table_.place(row), definition->second);
  }
  std::string what(Eigen::Index row, const std::string& column, double value) const {
    if (derived_.contains(column)) return fmt::format("{}", value);
    const std::string_view cell = table_.cell(row, column);
    return cell.empty() ? "empty" : fmt::format("'{}'", cell);
  }

  const CsvTable& table_;
  const std::map<std::string, std::string>& derived_;
};

void set_role(analysis::Observation& o, const std::string& role, double value) {
  if (role == "params")
    o.params = value;
  else if (role == "samples")
    o.samples = value;
  else if (role == "flops")
    o.flops = value;
  else
    o.columns[role] = value;
}

}  // namespace

absl::StatusOr<CsvData> read_observations(const CsvQuery& query) {
  absl::StatusOr<CsvTable> read = read_csv(query.path);
  if (!read.ok()) return in_option("--csv", read.status());
  CsvTable& table = *read;
  std::map<std::string, std::string> derived;
  if (absl::Status status = derive(query.derive, table, derived); !status.ok()) return status;
  if (absl::Status status = filter(query.where, table); !status.ok()) return status;

  CsvData data;
  std::map<std::string, std::string> roles;
  if (absl::Status status = Casting(query, table).cast(roles, data.x); !status.ok()) return status;
  const Checked checked(table, derived);
  data.observations.resize(static_cast<size_t>(table.rows()));
  const auto for_each = [&](const Eigen::ArrayXd& values, auto&& set) {
    for (Eigen::Index i = 0; i < values.size(); ++i) set(data.observations[static_cast<size_t>(i)], values[i]);
  };

  const auto y = checked.read(query.y, "a number", [](double) { return true; });
  if (!y.ok()) return in_option("--y", y.status());
  for_each(*y, [](analysis::Observation& o, double value) { o.value = value; });
  for (const auto& [role, column] : roles) {
    const bool asked = std::find(data.x.begin(), data.x.end(), role) != data.x.end();
    // A column that merely has the name of a role may hold anything.
    const absl::StatusOr<Eigen::ArrayXd> values =
        asked ? checked.read(column, "a positive number", [](double value) { return value > 0; })
              : table.numbers(column);
    if (!values.ok() && asked) return in_option("--x", values.status());
    if (!values.ok()) continue;
    for_each(*values, [&](analysis::Observation& o, double value) {
      if (std::isfinite(value)) set_role(o, role, value);
    });
  }
  if (!query.weight.empty()) {
    const auto weight = checked.read(query.weight, "a number that is not negative", [](double w) { return w >= 0; });
    if (!weight.ok()) return in_option("--weight", weight.status());
    for_each(*weight, [](analysis::Observation& o, double value) { o.weight = value; });
  }
  if (!query.run.empty() && !table.in_file(query.run)) return in_option("--run", table.equals(query.run, "").status());
  for (Eigen::Index i = 0; i < table.rows(); ++i)
    data.observations[static_cast<size_t>(i)].run =
        query.run.empty() ? std::to_string(table.row_number(i)) : std::string(table.cell(i, query.run));
  if (!query.loss.empty()) {
    const auto losses = checked.read(query.loss, "a positive number", [](double loss) { return loss > 0; });
    if (!losses.ok()) return in_option("--loss", losses.status());
    data.losses = data.observations;
    for (Eigen::Index i = 0; i < losses->size(); ++i) data.losses[static_cast<size_t>(i)].value = (*losses)[i];
  }
  return data;
}

}  // namespace scalelaw::cli
