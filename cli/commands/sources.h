// Where a command finds its laws and its runs: with a server, or in files.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "analysis/law.h"
#include "cli/csv_observations.h"
#include "cli/session.h"
#include "scalelaw/v1/laws.pb.h"

namespace scalelaw::cli {

/// `NAME=NUMBER`; throws CLI::ValidationError.
std::pair<std::string, double> assignment(const std::string& text);

/// `--name NAME=NUMBER …` into a map of columns, roles by letter or name.
CLI::Option* add_assignments(CLI::App& command, const std::string& name, std::map<std::string, double>& at,
                             const std::string& help);

/// `--cost FACTOR[,EXPONENT]`; unset unless given.
struct CostOption {
  std::vector<double> values;
  void to(v1::TrainingCost* cost) const;
  bool given() const { return !values.empty(); }
};
void add_cost(CLI::App& command, const std::string& name, CostOption& cost);

/// One law: a study's newest, a stored one by number, or one in a file.
struct LawChoice {
  v1::LawReference reference;
  std::string file;
};
/// STUDY, --metric, --law, --law-file.
void add_law_choice(CLI::App& command, LawChoice& choice);
/// Says what is missing and sets the session's exit code where nothing is chosen.
bool is_chosen(Session& session, const std::string& command, const LawChoice& choice);

/// The columns and rows of a CSV: --y, --where, --derive, --weight, --run, each only beside --csv; not --x.
CLI::Option* add_csv_query(CLI::App& command, CsvQuery& query, const std::string& help);

/// The runs that a law could be fitted to: a study's, or a CSV's.
struct RunsChoice {
  v1::FitRequest request;
  CsvQuery csv;
  double min_flops = 0, max_flops = 0, chance = 0, ceiling = 0;
};
/// STUDY, --metric, --csv with its columns, and the filters and bounds that both have.
void add_runs_choice(CLI::App& command, RunsChoice& choice);
/// As `is_chosen`; completes the request.
bool complete(Session& session, const CLI::App& command, RunsChoice& choice);

struct RunsAtHand {
  std::vector<analysis::Observation> observations;
  analysis::FitOptions options;
};
/// From the CSV. Errors: as read_observations.
absl::StatusOr<RunsAtHand> read_runs(const RunsChoice& choice);

/// Prints a message as JSON or by `text`, or reports why there is none.
template <class Message, class Text>
void show(Session& session, const absl::StatusOr<Message>& message, const Text& text) {
  if (!message.ok()) {
    session.exit_code = report(message.status());
  } else if (session.json) {
    print_json(*message);
  } else {
    print(text(*message, session.terminal));
  }
}

}  // namespace scalelaw::cli
