#include "cli/commands/sources.h"

#include <algorithm>

#include <fmt/format.h>

namespace scalelaw::cli {

std::pair<std::string, double> assignment(const std::string& text) {
  const size_t equals = text.find('=');
  double value = 0;
  if (equals == text.npos || equals == 0 || !CLI::detail::lexical_cast(text.substr(equals + 1), value))
    throw CLI::ValidationError(fmt::format("'{}': write NAME=NUMBER", text));
  return {text.substr(0, equals), value};
}

CLI::Option* add_assignments(CLI::App& command, const std::string& name, std::map<std::string, double>& at,
                             const std::string& help) {
  return command
      .add_option_function<std::vector<std::string>>(
          name,
          [&at](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              const auto [column, value] = assignment(text);
              at[analysis::column_name(column)] = value;
            }
          },
          help)
      ->delimiter(',')
      ->take_all();
}

void CostOption::to(v1::TrainingCost* cost) const {
  cost->set_factor(values[0]);
  cost->set_exponent(values.size() > 1 ? values[1] : 1);
}

void add_cost(CLI::App& command, const std::string& name, CostOption& cost) {
  command
      .add_option(name, cost.values,
                  "FACTOR[,EXPONENT] of the training FLOPs factor·params^exponent·samples; default: as the runs have "
                  "measured it, else 6,1")
      ->delimiter(',')
      ->expected(1, 2)
      ->check(CLI::PositiveNumber);
}

void add_law_choice(CLI::App& command, LawChoice& choice) {
  command.add_option("STUDY", *choice.reference.mutable_study(), "The study, for its newest law");
  command.add_option("--metric", *choice.reference.mutable_metric(), "The metric");
  command
      .add_option_function<int>(
          "--law", [&choice](int id) { choice.reference.set_law_id(id); }, "This law instead (see scalelaw laws)")
      ->check(CLI::PositiveNumber);
  command.add_option("--law-file", choice.file, "The law in this file (see fit --out), without a server");
}

bool is_chosen(Session& session, const std::string& command, const LawChoice& choice) {
  const bool newest = !choice.reference.study().empty() && !choice.reference.metric().empty();
  if (!choice.file.empty() || choice.reference.law_id() != 0 || newest) return true;
  session.exit_code =
      report_bad_input(fmt::format("{}: name a STUDY and a --metric, a --law or a --law-file", command));
  return false;
}

CLI::Option* add_csv_query(CLI::App& command, CsvQuery& query, const std::string& help) {
  CLI::Option* csv = command.add_option("--csv", query.path, help);
  command.add_option("--y", query.y, "Of a CSV: the column to predict")->needs(csv);
  command
      .add_option("--where", query.where,
                  "Of a CSV: only rows where this holds, such as 'loss<4.9'; several must all hold")
      ->needs(csv)
      ->take_all();
  command.add_option("--derive", query.derive, "Of a CSV: a further column, such as 'D=C/(6*N)'")
      ->needs(csv)
      ->take_all();
  command.add_option("--weight", query.weight, "Of a CSV: column with the weights of the rows")->needs(csv);
  command.add_option("--run", query.run, "Of a CSV: column that names the run of each row; default: each its own")
      ->needs(csv);
  return csv;
}

void add_runs_choice(CLI::App& command, RunsChoice& choice) {
  command.add_option("STUDY", *choice.request.mutable_study(), "The study");
  command.add_option("--metric", *choice.request.mutable_metric(), "The metric");
  add_csv_query(command, choice.csv, "The runs in this file, without a server; - is standard input");
  command
      .add_option("--x", choice.csv.x,
                  "Columns: of a study flops, params, samples; of a CSV ROLE=COLUMN with N, D, C for params, samples, "
                  "flops")
      ->delimiter(',')
      ->take_all();
  command.add_option("--min-flops", choice.min_flops, "Only runs of at least this many FLOPs")
      ->check(CLI::PositiveNumber);
  command.add_option("--max-flops", choice.max_flops, "Only runs up to this many FLOPs")->check(CLI::PositiveNumber);
  command.add_option("--chance", choice.chance, "Lower bound of a score; default: what the runs report");
  command.add_option("--ceiling", choice.ceiling, "Upper bound of a score; default: what the runs report");
}

bool complete(Session& session, const CLI::App& command, RunsChoice& choice) {
  v1::FitRequest& request = choice.request;
  request.mutable_x()->Assign(choice.csv.x.begin(), choice.csv.x.end());
  if (command.count("--min-flops") > 0) request.set_min_flops(choice.min_flops);
  if (command.count("--max-flops") > 0) request.set_max_flops(choice.max_flops);
  if (command.count("--chance") > 0) request.set_chance(choice.chance);
  if (command.count("--ceiling") > 0) request.set_ceiling(choice.ceiling);
  const std::string& name = command.get_name();
  const bool study = !request.study().empty() || !request.metric().empty();
  if (!choice.csv.path.empty() && study) {
    session.exit_code =
        report_bad_input(fmt::format("{}: a --csv file has no STUDY and no --metric; name its column with --y", name));
  } else if (!choice.csv.path.empty() && choice.csv.y.empty()) {
    session.exit_code = report_bad_input(fmt::format("{}: name the column to predict with --y", name));
  } else if (choice.csv.path.empty() && (request.study().empty() || request.metric().empty())) {
    session.exit_code =
        report_bad_input(fmt::format("{}: name a STUDY and a --metric, or a --csv file and its --y column", name));
  } else {
    return true;
  }
  return false;
}

absl::StatusOr<RunsAtHand> read_runs(const RunsChoice& choice) {
  CsvQuery query = choice.csv;
  query.law = choice.request.form();
  absl::StatusOr<CsvData> data = read_observations(query);
  if (!data.ok()) return data.status();
  RunsAtHand runs;
  const v1::FitRequest& request = choice.request;
  runs.options.metric = choice.csv.y;
  // FLOPs beside size and data say what training costs; a law is of the other two.
  runs.options.x = data->x;
  const auto named = [&](const char* column) { return std::count(data->x.begin(), data->x.end(), column) > 0; };
  if (named("params") && named("samples")) std::erase(runs.options.x, "flops");
  runs.options.form = request.form();
  runs.options.residual = request.residual();
  runs.options.objective = request.objective();
  runs.options.points = "all";  // whoever writes the rows down has chosen them already
  runs.options.seed = request.seed();
  if (request.has_min_flops()) runs.options.min_flops = request.min_flops();
  if (request.has_max_flops()) runs.options.max_flops = request.max_flops();
  if (request.has_chance()) runs.options.chance = request.chance();
  if (request.has_ceiling()) runs.options.ceiling = request.ceiling();
  for (analysis::Observation& o : data->observations)
    if (analysis::within_flops(runs.options, o.flops)) runs.observations.push_back(std::move(o));
  return runs;
}

}  // namespace scalelaw::cli
