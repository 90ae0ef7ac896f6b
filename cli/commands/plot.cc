#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/plots/figures.h"
#include "scalelaw/v1/laws.grpc.pb.h"
#include "scalelaw/v1/runs.grpc.pb.h"

namespace scalelaw::cli {
namespace {

using Stub = v1::Laws::Stub;

struct PlotOptions {
  std::string study;
  std::vector<std::string> metrics;
  std::string out = "plots";
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

bool load_law(Session& session, Stub& stub, FigureData& data) {
  v1::ListLawsRequest request;
  request.set_study(data.study);
  v1::ListLawsResponse laws;
  if (!call(session, stub, &Stub::List, request, laws)) return false;
  for (const v1::Law& law : laws.laws())
    if (law.metric() == data.metric && law.x_size() == 1 && law.x(0) == "flops" &&
        (!data.law || law.id() > data.law->id()))
      data.law = law;
  if (!data.law) return true;

  auto [low, high] = std::minmax_element(data.observations.begin(), data.observations.end(),
                                         [](const auto& a, const auto& b) { return a.flops() < b.flops(); });
  double from = low->flops(), to = high->flops() * 2;
  constexpr int kSteps = 60;
  for (int step = 0; step <= kSteps; ++step) {
    v1::PredictRequest at;
    at.set_law_id(data.law->id());
    (*at.mutable_at())["flops"] = from * std::pow(to / from, static_cast<double>(step) / kSteps);
    v1::Prediction& prediction = data.curve.emplace_back();
    if (!call(session, stub, &Stub::Predict, at, prediction)) return false;
    (*prediction.mutable_at())["flops"] = at.at().at("flops");
  }
  return true;
}

bool load(Session& session, Stub& stub, const std::set<std::string>& reported, FigureData& data) {
  if (!load_observations(session, stub, data.study, data.metric, data.observations)) return false;
  if (data.observations.empty()) return true;
  for (auto [suffix, bound] : {std::pair{"_chance", &data.chance}, {"_ceiling", &data.ceiling}}) {
    if (!reported.contains(data.metric + suffix)) continue;
    std::vector<v1::Observation> values;
    if (!load_observations(session, stub, data.study, data.metric + suffix, values)) return false;
    *bound = mean(values);
  }
  return load_law(session, stub, data);
}

std::vector<std::string> default_metrics(const std::set<std::string>& reported) {
  std::vector<std::string> metrics;
  for (const char* name : {"val_loss", "loss_last", "alignment"})
    if (reported.contains(name)) metrics.push_back(name);
  return metrics;
}

void plot(Session& session, PlotOptions options) {
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
  std::vector<Figure> figures;
  std::vector<std::string> without_law;
  for (const std::string& metric : options.metrics) {
    FigureData data;
    data.study = options.study;
    data.metric = metric;
    if (!load(session, *stub, reported, data)) return;
    if (data.observations.empty()) {
      session.exit_code = report_bad_input(fmt::format("study {} has no finished run with {}; its runs report {}",
                                                       options.study, metric, fmt::join(reported, ", ")));
      return;
    }
    if (!data.law) without_law.push_back(metric);
    figures.push_back(compute_figure(data));
    if (has_isoflops(data)) figures.push_back(isoflop_figure(data));
  }
  absl::StatusOr<std::vector<std::string>> files = draw(figures, options.out);
  if (!files.ok()) {
    session.exit_code = report_bad_input(std::string(files.status().message()));
    return;
  }
  if (session.json) return print(nlohmann::json{{"files", *files}}.dump(2) + "\n");
  for (const std::string& file : *files) print(file + "\n");
  for (const std::string& metric : without_law)
    print(fmt::format("No law for {} yet; fit one to see it:  scalelaw fit {} --metric {} --x flops\n", metric,
                      options.study, metric));
}

}  // namespace

void add_plot_command(CLI::App& app, Session& session) {
  auto options = std::make_shared<PlotOptions>();
  CLI::App& command =
      add_command(app, "plot", "Draw a study's figures as SVG and PNG", "scalelaw plot diffusion --out plots/");
  command.add_option("STUDY", options->study, "The study")->required();
  command.add_option("--metric", options->metrics, "Which metrics; default: its losses and its alignment")
      ->delimiter(',');
  command.add_option("--out,-o", options->out, "Folder for the files")->capture_default_str();
  command.callback([&session, options] { plot(session, *options); });
}

}  // namespace scalelaw::cli
