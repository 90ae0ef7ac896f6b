#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/commands/offline_laws.h"
#include "cli/commands/sources.h"
#include "cli/plots/figure_set.h"
#include "proto/law_messages.h"
#include "scalelaw/v1/laws.grpc.pb.h"
#include "scalelaw/v1/runs.grpc.pb.h"

namespace scalelaw::cli {
namespace {

using Stub = v1::Laws::Stub;

struct PlotOptions {
  std::string study;
  std::vector<std::string> metrics;
  /// Empty: all that there are.
  std::vector<std::string> figures;
  std::string out = "plots";
  /// Instead of a study.
  CsvQuery csv;
  std::vector<std::string> law_files;
};

// The metrics that the study's runs report.
bool reported_metrics(Session& session, const std::string& study, std::set<std::string>& metrics) {
  v1::ListRunsRequest request;
  request.set_study(study);
  v1::ListRunsResponse runs;
  if (!call(session, *v1::Runs::NewStub(session.channel()), &v1::Runs::Stub::List, request, runs)) return false;
  for (const v1::Run& run : runs.runs())
    for (const auto& [name, value] : run.latest()) metrics.insert(name);
  return true;
}

bool load_observations(Session& session, Stub& stub, const std::string& study, const std::string& metric,
                       std::vector<v1::Observation>& observations) {
  v1::ObservationsRequest request;
  request.set_study(study);
  request.set_metric(metric);
  v1::ObservationsResponse response;
  if (!call(session, stub, &Stub::Observations, request, response)) return false;
  observations.assign(response.observations().begin(), response.observations().end());
  std::erase_if(observations, [](const v1::Observation& o) { return !(o.flops() > 0 && std::isfinite(o.value())); });
  return true;
}

std::optional<double> mean(const std::vector<v1::Observation>& observations) {
  if (observations.empty()) return std::nullopt;
  double sum = 0;
  for (const v1::Observation& observation : observations) sum += observation.value();
  return sum / static_cast<double>(observations.size());
}

// The newest law of exactly these columns.
bool load_law(Session& session, Stub& stub, const FigureData& data, const std::set<std::string>& columns,
              std::optional<analysis::Law>& law) {
  v1::ListLawsRequest request;
  request.set_study(data.study);
  v1::ListLawsResponse laws;
  if (!call(session, stub, &Stub::List, request, laws)) return false;
  v1::GetLawRequest get;
  for (const v1::Law& one : laws.laws())
    if (one.metric() == data.metric && std::set<std::string>(one.x().begin(), one.x().end()) == columns)
      get.set_law_id(std::max(get.law_id(), one.id()));
  if (get.law_id() == 0) return true;
  v1::Law whole;
  if (!call(session, stub, &Stub::Get, get, whole)) return false;
  absl::StatusOr<analysis::Law> parsed = analysis::from_json(whole.document());
  if (!parsed.ok()) {
    session.exit_code =
        report_bad_input(fmt::format("law {}: {}", get.law_id(), std::string(parsed.status().message())));
    return false;
  }
  law = *std::move(parsed);
  return true;
}

bool load(Session& session, Stub& stub, const std::set<std::string>& reported, FigureData& data) {
  std::vector<v1::Observation> observations;
  if (!load_observations(session, stub, data.study, data.metric, observations)) return false;
  for (const v1::Observation& o : observations) (o.holdout() ? data.held_out : data.runs).push_back(to_analysis(o));
  for (auto [suffix, bound] : {std::pair{"_chance", &data.chance}, {"_ceiling", &data.ceiling}}) {
    if (!reported.contains(data.metric + suffix)) continue;
    std::vector<v1::Observation> values;
    if (!load_observations(session, stub, data.study, data.metric + suffix, values)) return false;
    *bound = mean(values);
  }
  return load_law(session, stub, data, {"flops"}, data.curve) &&
         load_law(session, stub, data, {"params", "samples"}, data.surface);
}

std::vector<std::string> default_metrics(const std::set<std::string>& reported) {
  std::vector<std::string> metrics;
  for (const char* name : {"val_loss", "loss_last", "alignment"})
    if (reported.contains(name)) metrics.push_back(name);
  return metrics;
}

void draw_all(Session& session, const PlotOptions& options, const std::vector<FigureData>& all) {
  std::vector<Figure> figures;
  std::vector<std::string> missing;
  for (const FigureData& data : all) {
    FigureSet set = make_figures(data, options.figures);
    std::move(set.figures.begin(), set.figures.end(), std::back_inserter(figures));
    std::move(set.missing.begin(), set.missing.end(), std::back_inserter(missing));
  }
  const absl::StatusOr<std::vector<std::string>> files = draw(figures, options.out);
  if (!files.ok()) {
    session.exit_code = report_bad_input(std::string(files.status().message()));
    return;
  }
  if (session.json) return print(nlohmann::json{{"files", *files}, {"missing", missing}}.dump(2) + "\n");
  for (const std::string& file : *files) print(file + "\n");
  for (const std::string& reason : missing) print(fmt::format("not drawn: {}\n", reason));
  // Who asked for a figure by its name and did not get it should notice.
  if (!options.figures.empty() && !missing.empty()) session.exit_code = kFailed;
}

// The laws in the files, else those that the file's columns allow.
bool add_laws(Session& session, const PlotOptions& options, const RunsAtHand& runs, FigureData& data) {
  for (const std::string& path : options.law_files) {
    analysis::Law law;
    if (!load_law(session, path, law)) return false;
    (law.x == std::vector<std::string>{"flops"} ? data.curve : data.surface) = std::move(law);
  }
  if (!options.law_files.empty()) return true;
  for (auto [columns, law] : {std::pair{std::vector<std::string>{"flops"}, &data.curve},
                              std::pair{std::vector<std::string>{"params", "samples"}, &data.surface}}) {
    analysis::FitOptions fit = runs.options;
    fit.x = columns;
    fit.points.clear();
    if (absl::StatusOr<analysis::Law> fitted = analysis::fit(runs.observations, fit); fitted.ok())
      *law = *std::move(fitted);
  }
  return true;
}

void plot_csv(Session& session, const PlotOptions& options) {
  RunsChoice choice;
  choice.csv = options.csv;
  absl::StatusOr<RunsAtHand> runs = read_runs(choice);
  if (!runs.ok()) {
    session.exit_code = report(runs.status());
    return;
  }
  FigureData data;
  data.study = options.csv.path == "-" ? "runs" : std::filesystem::path(options.csv.path).stem().string();
  data.metric = options.csv.y;
  if (!add_laws(session, options, *runs, data)) return;
  if (data.curve) {
    data.chance = data.curve->chance;
    data.ceiling = data.curve->ceiling;
  }
  data.runs = std::move(runs->observations);
  draw_all(session, options, {data});
}

void plot(Session& session, PlotOptions options) {
  if (!options.csv.path.empty() && !options.csv.y.empty() && options.study.empty()) return plot_csv(session, options);
  if (options.study.empty() || !options.csv.path.empty()) {
    session.exit_code = report_bad_input("plot: name a STUDY, or a --csv file and its --y column");
    return;
  }
  std::unique_ptr<Stub> stub = v1::Laws::NewStub(session.channel());
  std::set<std::string> reported;
  if (!reported_metrics(session, options.study, reported)) return;
  if (options.metrics.empty()) options.metrics = default_metrics(reported);
  if (options.metrics.empty()) {
    session.exit_code =
        report_bad_input(reported.empty() ? fmt::format("study {} has no measured runs yet", options.study)
                                          : fmt::format("--metric: name one; the runs of {} report {}", options.study,
                                                        fmt::join(reported, ", ")));
    return;
  }
  std::vector<FigureData> all;
  for (const std::string& metric : options.metrics) {
    FigureData& data = all.emplace_back();
    data.study = options.study;
    data.metric = metric;
    if (!load(session, *stub, reported, data)) return;
    if (data.runs.empty()) {
      session.exit_code = report_bad_input(fmt::format("study {} has no finished run with {}; its runs report {}",
                                                       options.study, metric, fmt::join(reported, ", ")));
      return;
    }
  }
  draw_all(session, options, all);
}

}  // namespace

void plot_study(Session& session, const std::string& study, const std::vector<std::string>& metrics,
                const std::string& folder) {
  PlotOptions options;
  options.study = study;
  options.metrics = metrics;
  options.out = folder;
  plot(session, std::move(options));
}

void add_plot_command(CLI::App& app, Session& session) {
  auto options = std::make_shared<PlotOptions>();
  CLI::App& command =
      add_command(app, "plot", "Draw the figures of a study or a CSV as SVG and PNG",
                  "scalelaw plot diffusion --out plots/\n"
                  "         scalelaw plot --csv runs.csv --x N=params --x D=tokens --y loss --figure contours");
  command.add_option("STUDY", options->study, "The study");
  add_csv_query(command, options->csv, "The runs in this file, without a server; - is standard input");
  command
      .add_option("--x", options->csv.x,
                  "Of a CSV: what its columns are, ROLE=COLUMN with N, D, C for params, samples, flops")
      ->delimiter(',')
      ->take_all();
  command.add_option("--law-file", options->law_files, "Of a CSV: its laws (see fit --out); default: fitted now")
      ->take_all();
  command.add_option("--metric", options->metrics, "Which metrics; default: its losses and its alignment")
      ->delimiter(',');
  command.add_option("--figure", options->figures, "Which figures; default: all that there is data for")
      ->delimiter(',')
      ->check(CLI::IsMember(figure_names()));
  command.add_option("--out,-o", options->out, "Folder for the files")->capture_default_str();
  command.callback([&session, options] { plot(session, *options); });
}

}  // namespace scalelaw::cli
