// rank, approaches, diagnose.
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands/choice_text.h"
#include "cli/commands/commands.h"
#include "cli/commands/sources.h"
#include "proto/choice_answers.h"
#include "scalelaw/v1/laws.grpc.pb.h"

namespace scalelaw::cli {
namespace {

using Stub = v1::Laws::Stub;

/// Answers a question about runs: the server where they are a study's, else here.
template <class Request, class Reply, class Text>
void answer_either(Session& session, const RunsChoice& choice, const Request& request,
                   grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*), const Text& text) {
  if (choice.csv.path.empty()) {
    Reply reply;
    if (call(session, *v1::Laws::NewStub(session.channel()), method, request, reply, kLongCall))
      show(session, absl::StatusOr<Reply>(std::move(reply)), text);
    return;
  }
  const absl::StatusOr<RunsAtHand> runs = read_runs(choice);
  show(session, runs.ok() ? answer(request, runs->observations, runs->options) : absl::StatusOr<Reply>(runs.status()),
       text);
}

std::string known_forms() {
  return fmt::format("{}", fmt::join(analysis::form_names(), ", "));
}

void add_rank(CLI::App& app, Session& session) {
  struct Command {
    RunsChoice runs;
    v1::RankRequest request;
    std::vector<std::string> forms;
    std::vector<double> factors;
  };
  auto options = std::make_shared<Command>();
  CLI::App& command = add_command(app, "rank", "Rank forms by how well they predict runs larger than those fitted",
                                  "scalelaw rank diffusion --metric val_loss\n"
                                  "         scalelaw rank --csv runs.csv --x N=params --x D=tokens --x C=flops --y loss");
  add_runs_choice(command, options->runs);
  command
      .add_option("--forms", options->forms,
                  "Forms to rank, of " + known_forms() + "; default: all that fit the columns")
      ->delimiter(',')
      ->check(CLI::IsMember(analysis::form_names()));
  command
      .add_option("--factors", options->factors,
                  "How far to extrapolate: largest compute over the largest fitted; default 3,10,30,100")
      ->delimiter(',')
      ->check(CLI::Range(1.0001, 1e9));
  command
      .add_option_function<int>(
          "--bootstrap", [options](int draws) { options->request.set_bootstrap(draws); },
          "Draws of each fit; default 100; below 50: errors alone")
      ->check(CLI::Range(0, analysis::kMaxBootstrap));
  command.callback([&session, options, &command] {
    if (!complete(session, command, options->runs)) return;
    *options->request.mutable_runs() = options->runs.request;
    options->request.mutable_forms()->Assign(options->forms.begin(), options->forms.end());
    options->request.mutable_factors()->Assign(options->factors.begin(), options->factors.end());
    answer_either(session, options->runs, options->request, &Stub::Rank, ranking_text);
  });
}

/// The surface or the law that is fitted on the way.
void add_fit_options(CLI::App& command, v1::FitRequest& request) {
  command.add_option("--form", *request.mutable_form(), "The form that is fitted, of " + known_forms())
      ->check(CLI::IsMember(analysis::form_names()));
  command.add_option("--residual", *request.mutable_residual(), "Differences in what: raw or log")
      ->check(CLI::IsMember({"raw", "log"}));
  command.add_option("--objective", *request.mutable_objective(), "Their measure: huber, l2 or lad")
      ->check(CLI::IsMember({"huber", "l2", "lad"}));
}

void add_approaches(CLI::App& app, Session& session) {
  struct Command {
    RunsChoice runs;
    v1::ApproachesRequest request;
    std::vector<std::string> approaches;
  };
  auto options = std::make_shared<Command>();
  CLI::App& command =
      add_command(app, "approaches", "The best size per budget by several approaches, and do they agree?",
                  "scalelaw approaches diffusion --metric val_loss\n"
                  "         scalelaw approaches --csv runs.csv --x N=params --x D=tokens --y loss");
  add_runs_choice(command, options->runs);
  add_fit_options(command, options->runs.request);
  command
      .add_option("--approaches", options->approaches, "Which of envelope, parabola, akima, parametric; default: all")
      ->delimiter(',')
      ->check(CLI::IsMember({"envelope", "parabola", "akima", "parametric"}));
  command
      .add_option_function<double>(
          "--flops", [options](double at) { options->request.set_at_flops(at); },
          "Where they are compared; default: at the largest budget")
      ->check(CLI::PositiveNumber);
  command
      .add_option_function<int>(
          "--draws", [options](int draws) { options->request.set_draws(draws); },
          "Replicates of the noise; default 400")
      ->check(CLI::Range(50, 100'000));
  command.callback([&session, options, &command] {
    if (!complete(session, command, options->runs)) return;
    *options->request.mutable_runs() = options->runs.request;
    options->request.mutable_approaches()->Assign(options->approaches.begin(), options->approaches.end());
    answer_either(session, options->runs, options->request, &Stub::Approaches, approaches_text);
  });
}

void add_diagnose(CLI::App& app, Session& session) {
  struct Command {
    RunsChoice runs;
    v1::DiagnoseRequest request;
    std::map<std::string, double> at;
  };
  auto options = std::make_shared<Command>();
  CLI::App& command = add_command(app, "diagnose", "What a fit rests on: influence of each run, outliers, units",
                                  "scalelaw diagnose diffusion --metric val_loss --form chinchilla --x params,samples\n"
                                  "         scalelaw diagnose --csv runs.csv --x N=params --x D=tokens --y loss");
  add_runs_choice(command, options->runs);
  add_fit_options(command, options->runs.request);
  add_assignments(command, "--at", options->at,
                  "Where the effect on a prediction is told; default: ten times the largest fitted value");
  command
      .add_option_function<double>(
          "--outlier-z", [options](double z) { options->request.set_outlier_z(z); },
          "Robust z of an outlier; default 3.5")
      ->check(CLI::PositiveNumber);
  command.callback([&session, options, &command] {
    if (!complete(session, command, options->runs)) return;
    *options->request.mutable_fit() = options->runs.request;
    options->request.mutable_at()->insert(options->at.begin(), options->at.end());
    answer_either(session, options->runs, options->request, &Stub::Diagnose, diagnosis_text);
  });
}

}  // namespace

void add_choice_commands(CLI::App& app, Session& session) {
  add_rank(app, session);
  add_approaches(app, session);
  add_diagnose(app, session);
}

}  // namespace scalelaw::cli
