// optimal, compare, plan.
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/commands/offline_laws.h"
#include "cli/commands/sources.h"
#include "cli/commands/use_text.h"
#include "cli/sweep_writer.h"
#include "proto/use_answers.h"
#include "scalelaw/v1/laws.grpc.pb.h"

namespace scalelaw::cli {
namespace {

using Stub = v1::Laws::Stub;

/// Asks the server.
template <class Request, class Reply>
absl::StatusOr<Reply> ask(Session& session, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                          const Request& request) {
  Reply reply;
  if (!call(session, *v1::Laws::NewStub(session.channel()), method, request, reply, kLongCall))
    return absl::CancelledError();
  return reply;
}

/// `show`, but for what `ask` has reported already.
template <class Message, class Text>
void show_unless_reported(Session& session, const absl::StatusOr<Message>& message, const Text& text) {
  if (!absl::IsCancelled(message.status())) show(session, message, text);
}

struct OptimalCommand {
  LawChoice law;
  v1::OptimalRequest request;
  CostOption cost;
  double flops = 0, target = 0, tolerance = 0;
  std::vector<double> sizes, off;
  std::map<std::string, double> at;
};

void optimal(Session& session, const CLI::App& command, OptimalCommand& options) {
  if (!is_chosen(session, "optimal", options.law)) return;
  v1::OptimalRequest& request = options.request;
  if (command.count("--flops") + command.count("--target") != 1) {
    session.exit_code = report_bad_input("optimal: give either --flops to spend or a --target to reach");
    return;
  }
  *request.mutable_law() = options.law.reference;
  if (command.count("--flops") > 0) request.set_flops(options.flops);
  if (command.count("--target") > 0) request.set_target(options.target);
  if (command.count("--tolerance") > 0) request.set_tolerance(options.tolerance);
  if (options.cost.given()) options.cost.to(request.mutable_cost());
  for (const double params : options.sizes) request.add_sizes()->set_params(params);
  request.mutable_off_factors()->Assign(options.off.begin(), options.off.end());
  request.mutable_at()->insert(options.at.begin(), options.at.end());
  if (options.law.file.empty())
    return show_unless_reported(session, ask(session, &Stub::Optimal, request), optimum_text);
  analysis::Law law;
  if (load_law(session, options.law.file, law)) show(session, answer(request, law, {}), optimum_text);
}

void add_optimal(CLI::App& app, Session& session) {
  auto options = std::make_shared<OptimalCommand>();
  CLI::App& command = add_command(app, "optimal", "The best size and data for a budget, by a law over both",
                                  "scalelaw optimal diffusion --metric val_loss --flops 1e14\n"
                                  "         scalelaw optimal --law-file law.json --target 2.0 --served 1e12");
  v1::OptimalRequest& request = options->request;
  add_law_choice(command, options->law);
  command.add_option("--flops", options->flops, "FLOPs to spend, training and serving together")
      ->check(CLI::PositiveNumber);
  command.add_option("--target", options->target, "Instead: the value to reach with the fewest FLOPs");
  add_cost(command, "--cost", options->cost);
  const auto number = [&command](const char* name, auto set, const char* help) {
    command.add_option_function<double>(name, set, help)->check(CLI::PositiveNumber);
  };
  number(
      "--served", [&request](double v) { request.set_served_samples(v); },
      "Samples that the model will serve: their compute counts too");
  number(
      "--passes", [&request](double v) { request.set_passes_per_served_sample(v); },
      "Forward passes for each served sample (denoising steps, twice with guidance); default 1");
  number(
      "--max-samples", [&request](double v) { request.set_max_samples(v); }, "Samples that there are to train on");
  number(
      "--min-params", [&request](double v) { request.set_min_params(v); }, "The smallest size allowed");
  number(
      "--max-params", [&request](double v) { request.set_max_params(v); }, "The largest size allowed");
  number(
      "--batch", [&request](double v) { request.set_batch(v); }, "Samples per step, to tell the steps");
  command.add_option("--sizes", options->sizes, "Only these sizes, parameters each: 1e9,3e9")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command.add_option("--off", options->off, "Multiples of the best size whose cost is told; default 0.25,0.5,2,4")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command
      .add_option("--tolerance", options->tolerance, "Extra compute, as a share, that does not matter; default 0.01")
      ->check(CLI::PositiveNumber);
  add_assignments(command, "--at", options->at, "Values of the law's other columns, such as unique_samples=1e8");
  command.callback([&session, options, &command] { optimal(session, command, *options); });
}

struct CompareCommand {
  std::vector<std::string> studies;
  std::string metric;
  std::vector<int> laws;
  std::vector<std::string> files;
  std::vector<double> at;
  double horizon = 0;
  CostOption cost_a, cost_b;
};

void compare(Session& session, CompareCommand& options) {
  v1::CompareRequest request;
  request.mutable_at()->Assign(options.at.begin(), options.at.end());
  request.set_horizon(options.horizon);
  if (options.cost_a.given()) options.cost_a.to(request.mutable_cost_a());
  if (options.cost_b.given()) options.cost_b.to(request.mutable_cost_b());
  if (options.files.size() == 2) {
    analysis::Law a, b;
    if (load_law(session, options.files[0], a) && load_law(session, options.files[1], b))
      show(session, answer(request, Compared{options.files[0], a, {}}, Compared{options.files[1], b, {}}),
           comparison_text);
    return;
  }
  if (options.laws.size() == 2) {
    request.mutable_a()->set_law_id(options.laws[0]);
    request.mutable_b()->set_law_id(options.laws[1]);
  } else if (options.studies.size() == 2 && !options.metric.empty()) {
    for (auto [side, study] :
         {std::pair{request.mutable_a(), &options.studies[0]}, std::pair{request.mutable_b(), &options.studies[1]}}) {
      side->set_study(*study);
      side->set_metric(options.metric);
    }
  } else {
    session.exit_code =
        report_bad_input("compare: name two studies and a --metric, two laws (--law 3,5), or two --law-file");
    return;
  }
  show_unless_reported(session, ask(session, &Stub::Compare, request), comparison_text);
}

void add_compare(CLI::App& app, Session& session) {
  auto options = std::make_shared<CompareCommand>();
  CLI::App& command = add_command(app, "compare", "Two recipes or families, by the compute that the same result costs",
                                  "scalelaw compare diffusion var --metric alignment --at 1e13\n"
                                  "         scalelaw compare --law-file ours.json --law-file theirs.json");
  command.add_option("STUDIES", options->studies, "The studies of A and B, for their newest laws")->expected(0, 2);
  command.add_option("--metric", options->metric, "The metric");
  command.add_option("--law", options->laws, "These laws instead: A,B (see scalelaw laws)")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command.add_option("--law-file", options->files, "The laws in two files, A then B, without a server")->take_all();
  command.add_option("--at", options->at, "Compute spent on A, FLOPs; default: the largest that both laws reach")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command
      .add_option("--horizon", options->horizon, "How far beyond the runs to look for crossings; default 1000 times")
      ->check(CLI::PositiveNumber);
  add_cost(command, "--cost-a", options->cost_a);
  add_cost(command, "--cost-b", options->cost_b);
  command.callback([&session, options] { compare(session, *options); });
}

struct PlanCommand {
  LawChoice law;
  RunsChoice runs;
  v1::PlanRequest request;
  CostOption cost;
  double best_size_at = 0, half_width = 0;
  std::map<std::string, double> at;
  std::vector<double> sizes, budgets;
  std::string emit;
};

/// False where it cannot be written, which has been reported.
bool emit(Session& session, const v1::RunPlan& plan, const std::string& path) {
  if (!plan.has_sweep()) {
    session.exit_code = report_bad_input(
        "--emit: there is no sweep to write: its stages come from a study's own sweeps, so it takes a server and "
        "sizes that the study has trained");
    return false;
  }
  const std::string text =
      write_sweep_file(plan.sweep(), fmt::format("{} runs of {:.3g} FLOPs together, planned by law {} for {}.\n"
                                                 "Stages that are trained already are reused, not trained again.",
                                                 plan.runs_size(), plan.flops(), plan.law_id(), plan.metric()));
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return true;
  session.exit_code = report_bad_input(fmt::format("--emit: {}: {}", path, std::strerror(errno)));
  return false;
}

void plan(Session& session, const CLI::App& command, PlanCommand& options) {
  if (!is_chosen(session, "plan", options.law)) return;
  if (options.at.empty() == (command.count("--best-size-at") == 0)) {
    session.exit_code = report_bad_input("plan: say what to predict, either --at flops=1e15 or --best-size-at 1e15");
    return;
  }
  if (command.count("--budget") + command.count("--half-width") == 0) {
    session.exit_code = report_bad_input("plan: give a --budget in FLOPs, or the --half-width wanted, or both");
    return;
  }
  v1::PlanRequest& request = options.request;
  *request.mutable_law() = options.law.reference;
  request.mutable_at()->insert(options.at.begin(), options.at.end());
  if (command.count("--best-size-at") > 0) request.set_best_params_at_flops(options.best_size_at);
  if (command.count("--half-width") > 0) request.set_half_width(options.half_width);
  request.mutable_sizes()->Assign(options.sizes.begin(), options.sizes.end());
  request.mutable_budgets()->Assign(options.budgets.begin(), options.budgets.end());
  if (options.cost.given()) options.cost.to(request.mutable_cost());

  absl::StatusOr<v1::RunPlan> planned;
  if (options.law.file.empty()) {
    planned = ask(session, &Stub::Plan, request);
  } else {
    analysis::Law law;
    if (!load_law(session, options.law.file, law)) return;
    RunsAtHand runs;
    if (!options.runs.csv.path.empty()) {
      options.runs.csv.y = options.runs.csv.y.empty() ? law.metric : options.runs.csv.y;
      absl::StatusOr<RunsAtHand> read = read_runs(options.runs);
      if (!read.ok()) {
        session.exit_code = report(read.status());
        return;
      }
      runs = *std::move(read);
    }
    planned = answer(request, law, runs.observations);
  }
  if (planned.ok() && !options.emit.empty() && !emit(session, *planned, options.emit)) return;
  show_unless_reported(session, planned, plan_text);
  if (planned.ok() && !options.emit.empty() && !session.json)
    print(fmt::format("\nWrote {0}. Submit it with:  scalelaw submit {0}\n", options.emit));
}

void add_plan(CLI::App& app, Session& session) {
  auto options = std::make_shared<PlanCommand>();
  v1::PlanRequest& request = options->request;
  CLI::App& command =
      add_command(app, "plan", "The next runs: those that narrow a prediction most per FLOP",
                  "scalelaw plan diffusion --metric val_loss --at flops=1e15 --budget 2e14 --emit next.yaml\n"
                  "         scalelaw plan diffusion --metric val_loss --best-size-at 1e15 --half-width 0.2");
  add_law_choice(command, options->law);
  add_assignments(command, "--at", options->at, "The prediction to narrow: flops=1e15, or params=1e9,samples=2e10");
  command.add_option("--best-size-at", options->best_size_at, "Instead: the best size for so many FLOPs")
      ->check(CLI::PositiveNumber);
  command
      .add_option_function<double>(
          "--budget", [&request](double flops) { request.set_flops(flops); }, "FLOPs to spend on runs")
      ->check(CLI::PositiveNumber);
  command
      .add_option("--half-width", options->half_width,
                  "Wanted: ± so much at 95 %, in units of the metric (of a best size: as a share of it)")
      ->check(CLI::PositiveNumber);
  command.add_option("--sizes", options->sizes, "Sizes to choose from, parameters each; default: the study's")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command
      .add_option("--budgets", options->budgets,
                  "Budgets of one run to choose from, FLOPs; default: the study's and larger ones")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command
      .add_option_function<int>(
          "--repeats", [&request](int n) { request.set_repeats(n); }, "Most seeds of one size at one budget; default 4")
      ->check(CLI::Range(1, 1000));
  command
      .add_option_function<int>(
          "--max-runs", [&request](int n) { request.set_max_runs(n); }, "Most runs; default 100")
      ->check(CLI::Range(1, 10'000));
  add_cost(command, "--cost", options->cost);
  command.add_option("--emit", options->emit, "Write the runs to this sweep file, ready to submit");
  command.add_option("--name", *request.mutable_sweep_name(), "Of the sweep; default: the study's with -next");
  CLI::Option* csv = add_csv_query(command, options->runs.csv, "Beside --law-file: the runs that it was fitted to");
  command
      .add_option("--x", options->runs.csv.x,
                  "Of a CSV: what its columns are, ROLE=COLUMN with N, D, C for params, samples, flops")
      ->delimiter(',')
      ->needs(csv)
      ->take_all();
  command.callback([&session, options, &command] { plan(session, command, *options); });
}

}  // namespace

void add_use_commands(CLI::App& app, Session& session) {
  add_optimal(app, session);
  add_compare(app, session);
  add_plan(app, session);
}

}  // namespace scalelaw::cli
