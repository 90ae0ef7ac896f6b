#include "cli/commands/offline_laws.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "cli/commands/law_text.h"
#include "cli/csv_table.h"
#include "cli/fit_progress.h"
#include "proto/choice_answers.h"
#include "proto/law_messages.h"

namespace scalelaw::cli {
namespace {

bool write_file(Session& session, const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text << '\n';
  file.close();
  if (file) return true;
  session.exit_code = report_bad_input(fmt::format("--out: {}: {}", path, std::strerror(errno)));
  return false;
}

}  // namespace

void fit_csv(Session& session, OfflineFit fit) {
  fit.options.metric = fit.query.y;
  fit.options.form = fit.query.law;
  fit.options.code_version = SCALELAW_VERSION;
  // Whoever writes the rows down has chosen them already.
  if (fit.options.points.empty()) fit.options.points = "all";
  absl::StatusOr<CsvData> data = read_observations(fit.query);
  if (!data.ok()) {
    session.exit_code = report(data.status());
    return;
  }
  fit.options.x = data->x;
  for (auto* rows : {&data->observations, &data->losses})
    std::erase_if(*rows, [&](const analysis::Observation& o) { return !analysis::within_flops(fit.options, o.flops); });
  absl::StatusOr<analysis::Law> law = absl::UnknownError("");
  {
    FitProgress progress(fit.options.bootstrap);
    fit.options.progress = [&progress](int draws) { progress.report(draws); };
    law = fit_law(data->observations, data->losses, fit.options);
  }
  if (!law.ok()) {
    session.exit_code = report(law.status());
    return;
  }
  const std::string document = analysis::to_json(*law);
  if (!fit.out.empty() && !write_file(session, fit.out, document)) return;
  print(session.json ? document + "\n" : law_text(to_message(*law), session.terminal));
}

bool load_law(Session& session, const std::string& path, analysis::Law& law) {
  const absl::StatusOr<std::string> text = read_text(path);
  if (!text.ok()) {
    session.exit_code = report(text.status());
    return false;
  }
  absl::StatusOr<analysis::Law> read = analysis::from_json(*text);
  if (!read.ok()) {
    session.exit_code = report_bad_input(fmt::format("{}: {}", path, std::string(read.status().message())));
    return false;
  }
  law = *std::move(read);
  return true;
}

void predict_from_file(Session& session, const std::string& path, const std::map<std::string, double>& at) {
  analysis::Law law;
  if (!load_law(session, path, law)) return;
  const absl::StatusOr<analysis::Prediction> prediction = analysis::predict(law, at);
  if (!prediction.ok()) {
    session.exit_code = report(prediction.status());
    return;
  }
  const v1::Prediction message = to_message(*prediction, law.metric, at);
  session.json ? print_json(message) : print(prediction_text(message, session.terminal));
}

}  // namespace scalelaw::cli
