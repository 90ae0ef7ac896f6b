#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands/commands.h"
#include "cli/commands/law_text.h"
#include "cli/format.h"
#include "scalelaw/v1/laws.grpc.pb.h"

namespace scalelaw::cli {
namespace {

using Stub = v1::Laws::Stub;

struct FitOptions {
  v1::FitRequest request;
  double huber_delta = 0, chance = 0, ceiling = 0, min_flops = 0, max_flops = 0;
};

void fit(Session& session, const v1::FitRequest& request) {
  v1::Law law;
  if (!call(session, *v1::Laws::NewStub(session.channel()), &Stub::Fit, request, law, kLongCall)) return;
  session.json ? print_json(law) : print(law_text(law, session.terminal));
}

void predict(Session& session, const v1::PredictRequest& request) {
  v1::Prediction prediction;
  if (!call(session, *v1::Laws::NewStub(session.channel()), &Stub::Predict, request, prediction, kLongCall)) return;
  session.json ? print_json(prediction) : print(prediction_text(prediction, session.terminal));
}

void verify(Session& session, const v1::VerifyRequest& request) {
  v1::VerifyResponse response;
  if (!call(session, *v1::Laws::NewStub(session.channel()), &Stub::Verify, request, response, kLongCall)) return;
  if (session.json) return print_json(response);
  print(verification_text(response, session.terminal));
}

void list_laws(Session& session, const std::string& study) {
  v1::ListLawsRequest request;
  request.set_study(study);
  v1::ListLawsResponse laws;
  if (!call(session, *v1::Laws::NewStub(session.channel()), &Stub::List, request, laws)) return;
  if (session.json) return print_json(laws);
  if (laws.laws().empty()) return print("No laws yet. Fit one with:  scalelaw fit STUDY --metric alignment\n");
  std::vector<std::vector<Cell>> rows;
  for (const v1::Law& law : laws.laws())
    rows.push_back({{std::to_string(law.id())},
                    {law.study()},
                    {law.metric()},
                    {law.form()},
                    {fmt::format("{}", fmt::join(law.x(), " "))},
                    {std::to_string(law.n())},
                    {format_value(law.r2())},
                    {law.formula()}});
  print(table(
      {{"law", true}, {"study"}, {"metric"}, {"form"}, {"x"}, {"points", true}, {"R²", true}, {"formula", false, true}},
      rows, session.terminal));
}

void add_fit(CLI::App& app, Session& session) {
  auto options = std::make_shared<FitOptions>();
  v1::FitRequest& request = options->request;
  CLI::App& command = add_command(app, "fit", "Fit a law to a study's runs and store it",
                                  "scalelaw fit diffusion --metric alignment --x flops");
  auto text = [&command](const char* name, std::string* target, const char* help) {
    return command.add_option(name, *target, help);
  };
  text("STUDY", request.mutable_study(), "The study")->required();
  text("--metric", request.mutable_metric(), "What to predict: alignment, val_loss, loss_last, …")->required();
  command
      .add_option_function<std::vector<std::string>>(
          "--x", [&request](const auto& columns) { request.mutable_x()->Assign(columns.begin(), columns.end()); },
          "From what: flops (the default), params, or params,samples for a surface")
      ->delimiter(',')
      ->check(CLI::IsMember({"flops", "params", "samples"}));
  text("--form", request.mutable_form(), "The law's form; default: bounded for a score, power-floor for a loss")
      ->check(CLI::IsMember({"power", "power-floor", "var-power", "chinchilla", "bounded"}));
  text("--points", request.mutable_points(), "Which runs: the frontier's (the best size per budget) or all")
      ->check(CLI::IsMember({"frontier", "all"}));
  text("--residual", request.mutable_residual(), "Differences in what: raw or log")
      ->check(CLI::IsMember({"raw", "log"}));
  text("--objective", request.mutable_objective(), "Their measure: huber, l2 or lad")
      ->check(CLI::IsMember({"huber", "l2", "lad"}));
  command.add_option("--huber-delta", options->huber_delta, "Where Huber's loss turns linear")
      ->check(CLI::PositiveNumber);
  command.add_option("--chance", options->chance, "Lower bound of a score; default: what the runs report");
  command.add_option("--ceiling", options->ceiling, "Upper bound of a score; default: what the runs report");
  command.add_option("--min-flops", options->min_flops, "Only runs of at least this many FLOPs")
      ->check(CLI::PositiveNumber);
  command.add_option("--max-flops", options->max_flops, "Only runs up to this many FLOPs")->check(CLI::PositiveNumber);
  command
      .add_option_function<int>(
          "--bootstrap", [&request](int draws) { request.set_bootstrap(draws); }, "Draws; default 1000")
      ->check(CLI::Range(1, 1'000'000));
  command.add_option_function<uint64_t>(
      "--seed", [&request](uint64_t seed) { request.set_seed(seed); }, "Of the bootstrap");
  command.callback([&session, options, &command] {
    v1::FitRequest filled = options->request;
    if (command.count("--huber-delta") > 0) filled.set_huber_delta(options->huber_delta);
    if (command.count("--chance") > 0) filled.set_chance(options->chance);
    if (command.count("--ceiling") > 0) filled.set_ceiling(options->ceiling);
    if (command.count("--min-flops") > 0) filled.set_min_flops(options->min_flops);
    if (command.count("--max-flops") > 0) filled.set_max_flops(options->max_flops);
    fit(session, filled);
  });
}

void add_predict(CLI::App& app, Session& session) {
  auto request = std::make_shared<v1::PredictRequest>();
  CLI::App& command = add_command(app, "predict", "Predict a metric by a study's newest law",
                                  "scalelaw predict diffusion --metric alignment --flops 3e13");
  command.add_option("STUDY", *request->mutable_study(), "The study");
  command.add_option("--metric", *request->mutable_metric(), "The metric");
  command
      .add_option_function<int>(
          "--law", [request](int id) { request->set_law_id(id); }, "By this law instead (see scalelaw laws)")
      ->check(CLI::PositiveNumber);
  for (const char* column : {"flops", "params", "samples"})
    command
        .add_option_function<double>(
            fmt::format("--{}", column), [request, column](double value) { (*request->mutable_at())[column] = value; },
            "Where to predict")
        ->check(CLI::PositiveNumber);
  command.callback([&session, request, &command] {
    if (request->at().empty()) {
      session.exit_code = report_bad_input("predict: say where, for example --flops 3e13");
    } else if (request->law_id() == 0 && (request->study().empty() || request->metric().empty())) {
      session.exit_code = report_bad_input("predict: name a STUDY and a --metric, or a --law");
    } else {
      predict(session, *request);
    }
  });
}

}  // namespace

void add_law_commands(CLI::App& app, Session& session) {
  add_fit(app, session);
  add_predict(app, session);

  auto request = std::make_shared<v1::VerifyRequest>();
  CLI::App& verify_command = add_command(app, "verify", "Hold predictions against the held-out runs measured since",
                                         "scalelaw verify diffusion");
  verify_command.add_option("STUDY", *request->mutable_study(), "The study")->required();
  verify_command.add_option("--metric", *request->mutable_metric(), "Only this metric");
  verify_command.callback([&session, request] { verify(session, *request); });

  auto study = std::make_shared<std::string>();
  CLI::App& laws = add_command(app, "laws", "List the stored laws", "scalelaw laws diffusion");
  laws.add_option("STUDY", *study, "Only of this study");
  laws.callback([&session, study] { list_laws(session, *study); });
}

}  // namespace scalelaw::cli
