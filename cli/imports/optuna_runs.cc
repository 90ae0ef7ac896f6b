#include <cmath>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/imports/foreign_database.h"
#include "cli/imports/foreign_run.h"

namespace scalelaw::cli {
namespace {

using nlohmann::json;

/// Parameters are stored as numbers: those of a categorical distribution are places in its choices.
std::string param_text(double value, const std::string& distribution) {
  const json parsed = json::parse(distribution, nullptr, false);
  if (parsed.is_object() && parsed.value("name", "") == "CategoricalDistribution") {
    const json& choices = parsed["attributes"]["choices"];
    const auto place = static_cast<size_t>(value);
    if (choices.is_array() && place < choices.size())
      return choices[place].is_string() ? choices[place].get<std::string>() : choices[place].dump();
  }
  return fmt::format("{}", value);
}

struct Trials {
  ForeignRuns found;
  std::map<int64_t, size_t> places;

  ForeignRun* of(const SQLite::Column& trial_id) {
    const auto place = places.find(trial_id.getInt64());
    return place == places.end() ? nullptr : &found.runs[place->second];
  }
};

void read_trials(SQLite::Database& database, const ForeignSource& source, Trials& trials) {
  SQLite::Statement row(database,
                        "SELECT t.trial_id, s.study_name, t.number, t.state, "
                        "strftime('%s', t.datetime_start), strftime('%s', t.datetime_complete) "
                        "FROM trials t JOIN studies s ON s.study_id = t.study_id "
                        "WHERE ?1 = '' OR s.study_name = ?1 ORDER BY t.trial_id");
  row.bind(1, source.experiment);
  while (row.executeStep()) {
    const std::string state = row.getColumn(3).getString();
    if (state == "RUNNING" || state == "WAITING") {
      ++trials.found.unfinished;
      continue;
    }
    ForeignRun& run = trials.found.runs.emplace_back();
    run.key = fmt::format("{} {}", row.getColumn(1).getString(), row.getColumn(2).getInt());
    run.name = run.key;
    run.failed = state != "COMPLETE";
    if (!row.getColumn(4).isNull()) run.started = std::stod(row.getColumn(4).getString());
    if (!row.getColumn(5).isNull()) run.finished = std::stod(row.getColumn(5).getString());
    trials.places[row.getColumn(0).getInt64()] = trials.found.runs.size() - 1;
  }
}

void read_params(SQLite::Database& database, Trials& trials) {
  SQLite::Statement param(database, "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params");
  while (param.executeStep())
    if (ForeignRun* run = trials.of(param.getColumn(0)))
      run->params[param.getColumn(1).getString()] =
          param_text(param.getColumn(2).getDouble(), param.getColumn(3).getString());
  SQLite::Statement attribute(database, "SELECT trial_id, key, value_json FROM trial_user_attributes");
  while (attribute.executeStep())
    if (ForeignRun* run = trials.of(attribute.getColumn(0))) {
      const json value = json::parse(attribute.getColumn(2).getString(), nullptr, false);
      if (value.is_discarded()) continue;
      run->params[attribute.getColumn(1).getString()] = value.is_string() ? value.get<std::string>() : value.dump();
    }
}

void read_values(SQLite::Database& database, Trials& trials) {
  std::map<ForeignRun*, int64_t> last_step;
  SQLite::Statement point(database,
                          "SELECT trial_id, step, intermediate_value FROM trial_intermediate_values "
                          "WHERE intermediate_value IS NOT NULL AND step >= 0");
  while (point.executeStep())
    if (ForeignRun* run = trials.of(point.getColumn(0)); run && std::isfinite(point.getColumn(2).getDouble())) {
      const int64_t step = point.getColumn(1).getInt64();
      run->curves["intermediate"][step] = point.getColumn(2).getDouble();
      last_step[run] = std::max(last_step[run], step);
    }
  SQLite::Statement value(database,
                          "SELECT trial_id, objective, value, (SELECT max(objective) FROM trial_values o "
                          "WHERE o.trial_id = v.trial_id) FROM trial_values v WHERE value IS NOT NULL");
  while (value.executeStep())
    if (ForeignRun* run = trials.of(value.getColumn(0)); run && std::isfinite(value.getColumn(2).getDouble())) {
      const std::string name =
          value.getColumn(3).getInt() == 0 ? "value" : fmt::format("value_{}", value.getColumn(1).getInt());
      run->curves[name][last_step.contains(run) ? last_step[run] : 1] = value.getColumn(2).getDouble();
    }
}

}  // namespace

absl::StatusOr<ForeignRuns> read_optuna_runs(const ForeignSource& source) {
  return read_database(source.path, "Optuna", [&](SQLite::Database& database) -> absl::StatusOr<ForeignRuns> {
    if (auto s = check_experiment(database, source, "SELECT study_name FROM studies ORDER BY study_name"); !s.ok())
      return s;
    Trials trials;
    read_trials(database, source, trials);
    read_params(database, trials);
    read_values(database, trials);
    return std::move(trials.found);
  });
}

}  // namespace scalelaw::cli
