#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/fit_progress.h"
#include "cli/format.h"
#include "cli/imports/foreign_run.h"
#include "cli/imports/mapping.h"
#include "proto/message_json.h"
#include "scalelaw/v1/runs.grpc.pb.h"

namespace scalelaw::cli {
namespace {

// Of one request; well under gRPC's limit of 4 MiB.
constexpr int kPointsPerRequest = 20'000;
constexpr int kRunsPerRequest = 500;
// So many runs tell whether the mapping is right.
constexpr size_t kRunsShown = 12;

struct Format {
  absl::StatusOr<ForeignRuns> (*read)(const ForeignSource&);
  /// Its columns are not told apart from measurements, so those have to be named.
  bool needs_metric;
};
const std::map<std::string, Format>& formats() {
  static const std::map<std::string, Format> all = {{"csv", {read_csv_runs, true}},
                                                    {"mlflow", {read_mlflow_runs, false}},
                                                    {"optuna", {read_optuna_runs, false}},
                                                    {"tensorboard", {read_tensorboard_runs, false}},
                                                    {"wandb", {read_wandb_runs, true}}};
  return all;
}

struct ImportOptions {
  std::string format;
  ForeignSource source;
  std::string study;
  std::string sweep;
  Mapping mapping;
  bool dry_run = false;
};

/// `import-mlflow-mlruns.db`: as a sweep may be named.
std::string default_sweep(const ImportOptions& options) {
  std::string name = std::filesystem::path(options.source.path).lexically_normal().filename().string();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  return fmt::format("import-{}-{}", options.format, name).substr(0, 64);
}

std::string rows_of(const std::vector<v1::ImportedRun>& runs, const Terminal& terminal) {
  std::set<std::string> metrics;
  for (const v1::ImportedRun& run : runs)
    for (const v1::Curve& curve : run.curves()) metrics.insert(curve.metric());
  std::vector<std::string> shown(metrics.begin(), metrics.end());
  if (shown.size() > 4) shown.resize(4);
  std::vector<Column> columns = {{"run", false, true},
                                 {"params", true},
                                 {"samples", true},
                                 {"FLOPs", true},
                                 {"points", true},
                                 {"seed", true},
                                 {""}};
  for (const std::string& metric : shown) columns.push_back({metric, true});
  std::vector<std::vector<Cell>> rows;
  for (size_t i = 0; i < std::min(runs.size(), kRunsShown); ++i) {
    const v1::ImportedRun& run = runs[i];
    int points = 0;
    std::map<std::string, double> last;
    for (const v1::Curve& curve : run.curves()) {
      points += curve.points_size();
      last[curve.metric()] = curve.points(curve.points_size() - 1).value();
    }
    const v1::Point& end = run.curves(0).points(run.curves(0).points_size() - 1);
    std::vector<Cell> row = {{run.name()},
                             {run.model_params() > 0 ? format_count(static_cast<double>(run.model_params())) : ""},
                             {end.samples() > 0 ? format_count(static_cast<double>(end.samples())) : ""},
                             {end.flops() > 0 ? format_scientific(end.flops()) : ""},
                             {std::to_string(points)},
                             {std::to_string(run.seed())},
                             {run.failed()    ? "failed"
                              : run.holdout() ? "held out"
                                              : ""}};
    for (const std::string& metric : shown) row.push_back({last.contains(metric) ? format_value(last[metric]) : ""});
    rows.push_back(std::move(row));
  }
  std::string text = table(columns, rows, terminal);
  if (runs.size() > kRunsShown) text += fmt::format("… and {} more\n", runs.size() - kRunsShown);
  return text;
}

/// Requests that hold all runs; a run with many points comes in several.
std::vector<v1::ImportRunsRequest> requests_of(const std::vector<v1::ImportedRun>& runs, const ImportOptions& options) {
  std::vector<v1::ImportRunsRequest> requests;
  int points = kPointsPerRequest;
  const auto next_request = [&] {
    v1::ImportRunsRequest& request = requests.emplace_back();
    request.set_study(options.study);
    request.set_sweep(options.sweep);
    points = 0;
  };
  for (const v1::ImportedRun& run : runs) {
    v1::ImportedRun facts = run;
    facts.clear_curves();
    if (points >= kPointsPerRequest || requests.back().runs_size() >= kRunsPerRequest) next_request();
    v1::ImportedRun* part = requests.back().add_runs();
    *part = facts;
    for (const v1::Curve& curve : run.curves()) {
      int sent = 0;
      while (sent < curve.points_size()) {
        if (points >= kPointsPerRequest) {
          next_request();
          part = requests.back().add_runs();
          *part = facts;
        }
        v1::Curve& piece = *part->add_curves();
        piece.set_metric(curve.metric());
        const int n = std::min(curve.points_size() - sent, kPointsPerRequest - points);
        for (int i = 0; i < n; ++i) *piece.add_points() = curve.points(sent + i);
        sent += n;
        points += n;
      }
    }
  }
  return requests;
}

bool send(Session& session, const ImportOptions& options, const std::vector<v1::ImportedRun>& runs,
          v1::ImportRunsResponse& total) {
  const auto stub = v1::Runs::NewStub(session.channel());
  const std::vector<v1::ImportRunsRequest> requests = requests_of(runs, options);
  FitProgress progress(static_cast<int>(requests.size()));
  int done = 0;
  for (const v1::ImportRunsRequest& request : requests) {
    v1::ImportRunsResponse response;
    if (!call(session, *stub, &v1::Runs::Stub::Import, request, response, kLongCall)) return false;
    total.set_sweep_id(response.sweep_id());
    total.set_added(total.added() + response.added());
    progress.report(++done);
  }
  return true;
}

std::string notes(const ForeignRuns& found, const MappedRuns& mapped) {
  std::string text;
  const auto left_out = [&](int count, const char* why) {
    if (count > 0) text += fmt::format("{} left out: {}\n", count, why);
  };
  left_out(found.unfinished, "not finished");
  left_out(mapped.filtered, "--where does not hold");
  left_out(mapped.without_metrics, "nothing was measured");
  for (const std::string& warning : mapped.warnings) text += "note: " + warning + "\n";
  return text;
}

void print_outcome(Session& session, const ImportOptions& options, const ForeignRuns& found, const MappedRuns& mapped,
                   const v1::ImportRunsResponse& response) {
  const int known = static_cast<int>(mapped.runs.size()) - response.added();
  if (session.json) {
    nlohmann::ordered_json outcome = {{"study", options.study},
                                      {"sweep", options.sweep},
                                      {"dry_run", options.dry_run},
                                      {"runs", mapped.runs.size()},
                                      {"unfinished", found.unfinished},
                                      {"filtered", mapped.filtered},
                                      {"without_metrics", mapped.without_metrics},
                                      {"warnings", mapped.warnings}};
    if (!options.dry_run) {
      outcome["sweep_id"] = response.sweep_id();
      outcome["added"] = response.added();
      outcome["updated"] = known;
    }
    return print(outcome.dump(2) + "\n");
  }
  print(rows_of(mapped.runs, session.terminal) + notes(found, mapped));
  if (options.dry_run) return print("Nothing is stored: this was a dry run.\n");
  print(fmt::format("{} runs are in the study {} (sweep {}): {} new, {} updated.\n", mapped.runs.size(), options.study,
                    options.sweep, response.added(), known));
  std::set<std::string> metrics;
  for (const v1::ImportedRun& run : mapped.runs)
    for (const v1::Curve& curve : run.curves()) metrics.insert(curve.metric());
  print(fmt::format("  fit a law        scalelaw fit {} --metric {}\n", options.study, *metrics.begin()));
}

void import(Session& session, ImportOptions options) {
  const Format& format = formats().at(options.format);
  if (options.sweep.empty()) options.sweep = default_sweep(options);
  absl::StatusOr<ForeignRuns> found = format.read(options.source);
  if (!found.ok()) {
    session.exit_code = report(found.status());
    return;
  }
  if (format.needs_metric && options.mapping.metrics.empty()) {
    std::set<std::string> curves;
    for (const ForeignRun& run : found->runs)
      for (const auto& [name, curve] : run.curves) curves.insert(name);
    session.exit_code = report_bad_input(fmt::format(
        "--metric is required: which columns were measured? Columns of numbers: {}", fmt::join(curves, ", ")));
    return;
  }
  const absl::StatusOr<MappedRuns> mapped = map_runs(found->runs, options.mapping);
  if (!mapped.ok()) {
    session.exit_code = report(mapped.status());
    return;
  }
  if (mapped->runs.empty()) {
    session.exit_code =
        report_bad_input(fmt::format("{}: no run is left to import\n{}", options.source.path, notes(*found, *mapped)));
    return;
  }
  v1::ImportRunsResponse response;
  if (!options.dry_run && !send(session, options, mapped->runs, response)) return;
  print_outcome(session, options, *found, *mapped, response);
}

}  // namespace

void add_import_command(CLI::App& app, Session& session) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App& command =
      add_command(app, "import", "Take over runs that were trained elsewhere, so that laws can be fitted to them",
                  "scalelaw import mlflow mlflow.db --study gpt --params n_params --samples 'step*batch' "
                  "--flops '6*params*samples' --metric loss=val_loss\n"
                  "         scalelaw import csv runs.csv --study gpt --run model --step step --metric loss --dry-run");
  std::vector<std::string> names;
  for (const auto& [name, format] : formats()) names.push_back(name);
  command.add_option("FORMAT", options->format, fmt::format("{}", fmt::join(names, ", ")))
      ->required()
      ->check(CLI::IsMember(names));
  command.add_option("PATH", options->source.path, "The file (TensorBoard: a folder; `-`: a CSV on standard input)")
      ->required();
  command.add_option("--study", options->study, "The study to import into; made if it is not there")->required();
  command.add_option("--sweep", options->sweep,
                     "The sweep that holds the runs; importing into it again updates them. Default: after the file");
  command.add_option("--experiment", options->source.experiment,
                     "Only this experiment (MLflow) or study (Optuna); default: all");
  command.add_option("--run", options->source.run_column,
                     "Of a table: the column that names a row's run; default: every row is a run");
  command.add_option("--step", options->source.step_column, "Of a table: the column of steps; default: `step`");
  command.add_option("--name-pattern", options->mapping.name_pattern,
                     "Parameters from runs' names: a regular expression with named groups, 'w(?P<width>[0-9]+)'");
  command.add_option("--metric", options->mapping.metrics,
                     "What was measured: NAME, or NAME=COLUMN to rename; may be repeated. Default: all curves");
  command.add_option(
      "--params", options->mapping.params,
      "Backbone parameters, an expression over a run's parameters: '12*layers*width^2'. Default: params, "
      "N, model_params or n_params");
  command.add_option("--samples", options->mapping.samples,
                     "Samples seen at a step: 'step*batch_size'. Default: samples, D or tokens");
  command.add_option("--flops", options->mapping.flops,
                     "Training FLOPs spent at a step: '6*params*samples'. Default: flops or C");
  command.add_option("--seed", options->mapping.seed, "Seed; default: seed");
  command.add_option("--where", options->mapping.where,
                     "Only runs for which this holds at their last step: \"optimizer=='adam'\"; may be repeated");
  command.add_option("--holdout", options->mapping.holdout,
                     "Runs for which this holds are kept from fits, to verify laws against: 'flops>1e18'");
  command.add_flag("--dry-run", options->dry_run, "Show what would be stored, and store nothing; needs no server");
  command.callback([&session, options] { import(session, *options); });
}

}  // namespace scalelaw::cli
