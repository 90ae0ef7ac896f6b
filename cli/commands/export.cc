#include <filesystem>
#include <fstream>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/exports/tables.h"
#include "cli/fit_progress.h"
#include "scalelaw/v1/laws.grpc.pb.h"
#include "scalelaw/v1/runs.grpc.pb.h"

namespace scalelaw::cli {
namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::string study;
  std::string format;
  std::string out;
};

bool load_runs(Session& session, const std::string& study, bool curves, std::vector<ExportedRun>& runs) {
  const auto stub = v1::Runs::NewStub(session.channel());
  v1::ListRunsRequest request;
  request.set_study(study);
  v1::ListRunsResponse response;
  if (!call(session, *stub, &v1::Runs::Stub::List, request, response)) return false;
  if (response.runs().empty()) {
    session.exit_code =
        report_bad_input(fmt::format("study {} has no runs; `scalelaw status` lists the sweeps", study));
    return false;
  }
  FitProgress progress(response.runs_size());
  for (v1::Run& run : *response.mutable_runs()) {
    ExportedRun& one = runs.emplace_back();
    one.run = std::move(run);
    if (!curves) continue;
    v1::GetMetricsRequest get;
    get.set_run_id(one.run.id());
    v1::GetMetricsResponse metrics;
    if (!call(session, *stub, &v1::Runs::Stub::Metrics, get, metrics)) return false;
    one.curves.assign(metrics.curves().begin(), metrics.curves().end());
    progress.report(static_cast<int>(runs.size()));
  }
  return true;
}

/// The newest law of each metric, form and columns.
bool load_laws(Session& session, const std::string& study, std::vector<v1::Law>& laws) {
  const auto stub = v1::Laws::NewStub(session.channel());
  v1::ListLawsRequest request;
  request.set_study(study);
  v1::ListLawsResponse response;
  if (!call(session, *stub, &v1::Laws::Stub::List, request, response)) return false;
  std::map<std::string, int32_t> newest;
  for (const v1::Law& law : response.laws()) {
    std::string what = law.metric() + "\n" + law.form();
    for (const std::string& column : law.x()) what += "\n" + column;
    newest[what] = std::max(newest[what], law.id());
  }
  for (const auto& [what, id] : newest) {
    v1::GetLawRequest get;
    get.set_law_id(id);
    if (!call(session, *stub, &v1::Laws::Stub::Get, get, laws.emplace_back())) return false;
  }
  return true;
}

bool write(Session& session, const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return true;
  session.exit_code = report_bad_input(fmt::format("--out: {} cannot be written: {}", path.string(),
                                                   std::error_code(errno, std::generic_category()).message()));
  return false;
}

std::string how_it_was_made(const ExportOptions& options, const std::vector<v1::Law>& laws) {
  std::string text = fmt::format(
      "# {0}\n\n"
      "| file | holds |\n|---|---|\n"
      "| `runs.csv` | a row per run: parameters, samples, FLOPs, the last value of each metric |\n"
      "| `curves.csv` | a row per run, metric and step |\n"
      "| `laws/*.json` | the laws with everything to predict from them; `scalelaw predict --law-file` reads them |\n"
      "| `laws.tex` | their parameters with 95 % intervals |\n"
      "| `plots/` | figures as SVG and PNG |\n\n"
      "Made by `scalelaw export {0} --format bundle` ({1}). A law is fitted again by\n"
      "`scalelaw fit --csv runs.csv --where \"state=='succeeded' && holdout==0\" --y METRIC --law FORM`.\n",
      options.study, "scalelaw " SCALELAW_VERSION);
  if (!laws.empty()) text += "\n";
  for (const v1::Law& law : laws) text += fmt::format("- law {}, {} runs: `{}`\n", law.id(), law.n(), law.formula());
  return text;
}

void export_bundle(Session& session, const ExportOptions& options, const std::vector<ExportedRun>& runs) {
  std::vector<v1::Law> laws;
  if (!load_laws(session, options.study, laws)) return;
  const fs::path folder = options.out.empty() ? options.study + "-export" : options.out;
  std::error_code error;
  fs::create_directories(folder / "laws", error);
  if (error) {
    session.exit_code = report_bad_input(fmt::format("--out: {}: {}", folder.string(), error.message()));
    return;
  }
  if (!write(session, folder / "runs.csv", runs_csv(runs)) ||
      !write(session, folder / "curves.csv", curves_csv(runs)) ||
      !write(session, folder / "laws.tex", laws_latex(laws)) ||
      !write(session, folder / "README.md", how_it_was_made(options, laws)))
    return;
  std::vector<std::string> metrics;
  for (const v1::Law& law : laws) {
    if (!write(session, folder / "laws" / fmt::format("{}-law-{}.json", law.metric(), law.id()), law.document()))
      return;
    if (std::find(metrics.begin(), metrics.end(), law.metric()) == metrics.end()) metrics.push_back(law.metric());
  }
  if (session.json) {
    print(nlohmann::json{{"folder", folder.string()}, {"runs", runs.size()}, {"laws", laws.size()}}.dump() + "\n");
  } else {
    print(fmt::format("{}: {} runs, {} laws\n", folder.string(), runs.size(), laws.size()));
  }
  if (metrics.empty()) return;
  const bool json = std::exchange(session.json, false);
  plot_study(session, options.study, metrics, (folder / "plots").string());
  session.json = json;
}

void export_study(Session& session, const ExportOptions& options) {
  std::vector<ExportedRun> runs;
  if (!load_runs(session, options.study, options.format != "csv", runs)) return;
  if (options.format == "bundle") return export_bundle(session, options, runs);
  const std::string text = options.format == "csv"      ? runs_csv(runs)
                           : options.format == "curves" ? curves_csv(runs)
                                                        : runs_jsonl(runs);
  if (options.out.empty() || options.out == "-") return print(text);
  if (!write(session, options.out, text)) return;
  if (session.json) return print(nlohmann::json{{"file", options.out}, {"runs", runs.size()}}.dump() + "\n");
  print(fmt::format("{}: {} runs\n", options.out, runs.size()));
}

}  // namespace

void add_export_command(CLI::App& app, Session& session) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App& command = add_command(app, "export", "Write a study's runs and laws as files for other programs and papers",
                                  "scalelaw export diffusion > runs.csv\n"
                                  "         scalelaw export diffusion --format bundle --out paper/");
  command.add_option("STUDY", options->study, "The study")->required();
  command
      .add_option("--format", options->format,
                  "csv: a row per run; curves: a row per point; jsonl: an object per run with its curves; bundle: a "
                  "folder with data, laws, plots and a LaTeX table")
      ->default_val("csv")
      ->check(CLI::IsMember({"csv", "curves", "jsonl", "bundle"}));
  command.add_option("--out,-o", options->out, "File, or folder for a bundle; default: standard output, STUDY-export/");
  command.callback([&session, options] { export_study(session, *options); });
}

}  // namespace scalelaw::cli
