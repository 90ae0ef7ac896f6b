#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "analysis/form.h"
#include "cli/commands/commands.h"
#include "cli/commands/law_text.h"
#include "cli/commands/offline_laws.h"
#include "cli/commands/sources.h"
#include "cli/format.h"
#include "proto/law_messages.h"
#include "scalelaw/v1/laws.grpc.pb.h"

namespace scalelaw::cli {
namespace {

using Stub = v1::Laws::Stub;

struct FitOptions {
  v1::FitRequest request;
  double huber_delta = 0, chance = 0, ceiling = 0, min_flops = 0, max_flops = 0;
  OfflineFit offline;
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

void show_law(Session& session, int id) {
  v1::GetLawRequest request;
  request.set_law_id(id);
  v1::Law law;
  if (!call(session, *v1::Laws::NewStub(session.channel()), &Stub::Get, request, law)) return;
  print(session.json ? law.document() + "\n" : law_text(law, session.terminal));
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

/// `NAME=LOW:HIGH`.
std::pair<std::string, v1::SearchRange> search_range(const std::string& text) {
  const size_t equals = text.find('='), colon = text.find(':', equals);
  double low = 0, high = 0;
  if (colon == text.npos || equals == 0 ||
      !CLI::detail::lexical_cast(text.substr(equals + 1, colon - equals - 1), low) ||
      !CLI::detail::lexical_cast(text.substr(colon + 1), high))
    throw CLI::ValidationError(fmt::format("'{}': write NAME=LOW:HIGH", text));
  v1::SearchRange range;
  range.set_low(low);
  range.set_high(high);
  return {text.substr(0, equals), range};
}

void add_csv_options(CLI::App& command, OfflineFit& fit) {
  CLI::Option* csv = add_csv_query(command, fit.query, "Fit to this file, without a server; - is standard input");
  command.add_option("--out,-o", fit.out, "Of a CSV: write the law's document to this file")->needs(csv);
}

void forms(Session& session) {
  std::vector<std::vector<Cell>> rows;
  nlohmann::json all = nlohmann::json::array();
  for (const std::string& name : analysis::form_names()) {
    const auto form = analysis::make_form(name, {});
    rows.push_back({{name, Color::kBold},
                    {fmt::format("{}", fmt::join(form->default_columns(), " "))},
                    {std::string(form->description())}});
    all.push_back({{"form", name},
                   {"x", form->default_columns()},
                   {"parameters", form->parameter_names()},
                   {"description", std::string(form->description())}});
  }
  if (session.json) {
    print(all.dump() + "\n");
    return;
  }
  print(table({{"form"}, {"of"}, {"curve", false, true}}, rows, session.terminal) +
        "\nm1 and m2 are power and power-floor. broken-power-auto chooses the number of breaks by what it predicts "
        "beyond "
        "the fitted points.\nFORM>sigmoid and FORM>exponential go from a form of the loss to a score (--loss). Any "
        "formula in quotes is a form too.\n");
}

void fit_either(Session& session, const v1::FitRequest& request, OfflineFit& offline) {
  if (offline.query.path.empty()) {
    if (request.study().empty() || request.metric().empty())
      session.exit_code = report_bad_input("fit: name a STUDY and a --metric, or a --csv file and its --y column");
    else
      fit(session, request);
    return;
  }
  if (!request.study().empty() || !request.metric().empty()) {
    session.exit_code = report_bad_input("fit: a --csv file has no STUDY and no --metric; name its column with --y");
  } else if (offline.query.y.empty()) {
    session.exit_code = report_bad_input("fit: name the column to predict with --y");
  } else {
    offline.query.x.assign(request.x().begin(), request.x().end());
    offline.query.law = request.form();
    offline.query.loss = request.loss();
    const int draws = offline.options.bootstrap;
    offline.options = to_options(request);
    offline.options.bootstrap = draws;
    fit_csv(session, offline);
  }
}

void add_fit(CLI::App& app, Session& session) {
  auto options = std::make_shared<FitOptions>();
  v1::FitRequest& request = options->request;
  CLI::App& command = add_command(app, "fit", "Fit a law to a study's runs and store it, or to a CSV file",
                                  "scalelaw fit diffusion --metric alignment --x flops\n"
                                  "         scalelaw fit --csv runs.csv --x N=params --x D=tokens --y loss "
                                  "--law chinchilla --where 'loss<4.9' --out law.json\n"
                                  "         scalelaw fit --csv runs.csv --y loss --law 'E + A*N^-alpha + B*D^-beta'");
  auto text = [&command](const char* name, std::string* target, const std::string& help) {
    return command.add_option(name, *target, help);
  };
  text("STUDY", request.mutable_study(), "The study");
  text("--metric", request.mutable_metric(), "What to predict: alignment, val_loss, loss_last, …");
  command
      .add_option_function<std::vector<std::string>>(
          "--x", [&request](const auto& columns) { request.mutable_x()->Assign(columns.begin(), columns.end()); },
          "From what: flops (the default), params, or params,samples for a surface; of a CSV: its columns, or "
          "ROLE=COLUMN with N, D, C for params, samples, flops")
      ->delimiter(',')
      ->take_all();
  text(
      "--form,--law", request.mutable_form(),
      "The law's form (scalelaw forms lists them), an expression such as 'E + A*N^-alpha + B*D^-beta', or stack: those "
      "that extrapolate best, mixed; default: by the columns");
  text("--loss", request.mutable_loss(),
       "Of a chain such as chinchilla>sigmoid: the loss on the way to the score; of a CSV: its column");
  text("--points", request.mutable_points(),
       "Which runs: the frontier's (the best size per budget) or all; of a CSV: all")
      ->check(CLI::IsMember({"frontier", "all"}));
  text("--residual", request.mutable_residual(), "Differences in what: raw or log")
      ->check(CLI::IsMember({"raw", "log"}));
  text("--objective", request.mutable_objective(), "Their measure: huber, l2 or lad")
      ->check(CLI::IsMember({"huber", "l2", "lad"}));
  command.add_option("--huber-delta", options->huber_delta, "Where Huber's loss turns linear")
      ->check(CLI::PositiveNumber);
  command
      .add_option_function<double>(
          "--huber-scale", [&request](double scale) { request.set_huber_scale(scale); },
          "Instead: that in units of the residuals' own spread")
      ->check(CLI::PositiveNumber);
  command
      .add_option_function<std::vector<std::string>>(
          "--fix",
          [&request](const auto& texts) {
            for (const std::string& one : texts)
              request.mutable_fixed()->insert({assignment(one).first, assignment(one).second});
          },
          "Hold a parameter at a value, such as A=520.8")
      ->take_all();
  command
      .add_option_function<std::vector<std::string>>(
          "--param",
          [&request](const auto& texts) {
            for (const std::string& one : texts) {
              const auto [name, range] = search_range(one);
              (*request.mutable_search())[name] = range;
            }
          },
          "Of an expression: where to look for a parameter, such as alpha=0.01:3")
      ->take_all();
  command
      .add_option_function<std::vector<std::string>>(
          "--rivals",
          [&request](const auto& forms) {
            if (forms.size() == 1 && forms[0] == "none")
              request.mutable_rivals();
            else
              request.mutable_rivals()->mutable_forms()->Assign(forms.begin(), forms.end());
          },
          "Forms that might be the true one as well and share the prediction intervals; or none")
      ->delimiter(',')
      ->take_all();
  text("--resample", request.mutable_resample(), "What the bootstrap resamples; default: by what the runs are")
      ->check(CLI::IsMember({"pairs", "cluster", "residual", "wild", "model"}));
  text("--intervals", request.mutable_intervals(), "How the parameters' intervals are made; default: percentile")
      ->check(CLI::IsMember({"percentile", "bca", "profile"}));
  command.add_option("--chance", options->chance, "Lower bound of a score; default: what the runs report");
  command.add_option("--ceiling", options->ceiling, "Upper bound of a score; default: what the runs report");
  command.add_option("--min-flops", options->min_flops, "Only runs of at least this many FLOPs")
      ->check(CLI::PositiveNumber);
  command.add_option("--max-flops", options->max_flops, "Only runs up to this many FLOPs")->check(CLI::PositiveNumber);
  command
      .add_option_function<int>(
          "--bootstrap",
          [&request, options](int draws) {
            request.set_bootstrap(draws);
            options->offline.options.bootstrap = draws;
          },
          "Draws; default 1000; of a CSV: 0 for none")
      ->check(CLI::Range(0, analysis::kMaxBootstrap));
  command.add_option_function<uint64_t>(
      "--seed", [&request](uint64_t seed) { request.set_seed(seed); }, "Of the bootstrap");
  add_csv_options(command, options->offline);
  command.callback([&session, options, &command] {
    v1::FitRequest filled = options->request;
    if (command.count("--huber-delta") > 0) filled.set_huber_delta(options->huber_delta);
    if (command.count("--chance") > 0) filled.set_chance(options->chance);
    if (command.count("--ceiling") > 0) filled.set_ceiling(options->ceiling);
    if (command.count("--min-flops") > 0) filled.set_min_flops(options->min_flops);
    if (command.count("--max-flops") > 0) filled.set_max_flops(options->max_flops);
    fit_either(session, filled, options->offline);
  });
}

void add_predict(CLI::App& app, Session& session) {
  auto request = std::make_shared<v1::PredictRequest>();
  auto law_file = std::make_shared<std::string>();
  CLI::App& command = add_command(app, "predict", "Predict a metric by a study's newest law, or by one in a file",
                                  "scalelaw predict diffusion --metric alignment --flops 3e13\n"
                                  "         scalelaw predict --law-file law.json --at N=7e10 --at D=1.4e12");
  command.add_option("STUDY", *request->mutable_study(), "The study");
  command.add_option("--metric", *request->mutable_metric(), "The metric");
  command
      .add_option_function<int>(
          "--law", [request](int id) { request->set_law_id(id); }, "By this law instead (see scalelaw laws)")
      ->check(CLI::PositiveNumber);
  command.add_option("--law-file", *law_file, "By the law in this file (see fit --out), without a server");
  command
      .add_option_function<std::vector<std::string>>(
          "--at",
          [request](const auto& texts) {
            for (const std::string& text : texts) {
              const auto [column, value] = assignment(text);
              (*request->mutable_at())[analysis::column_name(column)] = value;
            }
          },
          "Where to predict, for any column: NAME=NUMBER, N, D, C for params, samples, flops")
      ->take_all();
  for (const auto& [column, where] : {std::pair{"flops", "Where to predict: training compute in FLOPs"},
                                      {"params", "Where to predict: parameters of the backbone"},
                                      {"samples", "Where to predict: samples seen"}})
    command
        .add_option_function<double>(
            fmt::format("--{}", column),
            [request, name = column](double value) { (*request->mutable_at())[name] = value; }, where)
        ->check(CLI::PositiveNumber);
  command.callback([&session, request, law_file] {
    if (request->at().empty()) {
      session.exit_code = report_bad_input("predict: say where, for example --flops 3e13");
    } else if (!law_file->empty()) {
      predict_from_file(session, *law_file, {request->at().begin(), request->at().end()});
    } else if (request->law_id() == 0 && (request->study().empty() || request->metric().empty())) {
      session.exit_code = report_bad_input("predict: name a STUDY and a --metric, a --law or a --law-file");
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

  add_command(app, "forms", "The forms that a law can have", "scalelaw forms").callback([&session] { forms(session); });

  auto study = std::make_shared<std::string>();
  auto law = std::make_shared<int>(0);
  CLI::App& laws = add_command(app, "laws", "List the stored laws, or show one",
                               "scalelaw laws diffusion\n"
                               "         scalelaw laws --law 3 --json");
  laws.add_option("STUDY", *study, "Only of this study");
  laws.add_option("--law", *law, "This law with its parameters and warnings; with --json its whole document")
      ->check(CLI::PositiveNumber);
  laws.callback([&session, study, law] { *law > 0 ? show_law(session, *law) : list_laws(session, *study); });
}

}  // namespace scalelaw::cli
