#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands/commands.h"
#include "cli/format.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "proto/message_json.h"
#include "scalelaw/v1/runs.grpc.pb.h"

namespace scalelaw::cli {
namespace {

using Stub = v1::Runs::Stub;

std::string state_of(const v1::Run& run) {
  return short_name(*v1::RunState_descriptor()->FindValueByNumber(run.state()));
}

const std::map<std::string, v1::RunState>& states() {
  static const std::map<std::string, v1::RunState> all = [] {
    std::map<std::string, v1::RunState> names;
    const google::protobuf::EnumDescriptor& type = *v1::RunState_descriptor();
    for (int i = 1; i < type.value_count(); ++i)
      names[short_name(*type.value(i))] = static_cast<v1::RunState>(type.value(i)->number());
    return names;
  }();
  return all;
}

// The two metrics that most runs have, what one looks at first in front; bounds of metrics are no results.
std::vector<std::string> metrics_to_show(const v1::ListRunsResponse& runs) {
  std::map<std::string, int> count;
  for (const v1::Run& run : runs.runs())
    for (const auto& [name, value] : run.latest())
      if (!name.ends_with("_chance") && !name.ends_with("_ceiling")) ++count[name];
  auto rank = [](const std::string& name) {
    static const std::vector<std::string> first = {"alignment", "val_loss", "loss_last", "loss", "accuracy"};
    return std::find(first.begin(), first.end(), name) - first.begin();
  };
  std::vector<std::string> names;
  for (const auto& [name, n] : count) names.push_back(name);
  std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return rank(a) != rank(b) ? rank(a) < rank(b) : count[a] > count[b];
  });
  if (names.size() > 3) names.resize(3);
  return names;
}

double seconds_spent(const v1::Run& run) {
  if (!run.has_started()) return 0;
  return (run.has_finished() ? seconds(run.finished()) : now()) - seconds(run.started());
}

struct ListOptions {
  std::string sweep, study;
  std::vector<std::string> states;
};

void list_runs(Session& session, const ListOptions& options) {
  v1::ListRunsRequest request;
  request.set_sweep(options.sweep);
  request.set_study(options.study);
  for (const std::string& state : options.states) request.add_states(states().at(state));
  v1::ListRunsResponse runs;
  if (!call(session, *v1::Runs::NewStub(session.channel()), &Stub::List, request, runs)) return;
  if (session.json) return print_json(runs);
  if (runs.runs().empty()) return print("No runs.\n");

  std::set<std::string> studies;
  for (const v1::Run& run : runs.runs()) studies.insert(run.study());
  std::vector<std::string> metrics = metrics_to_show(runs);
  std::vector<Column> columns = {
      {"run", true}, {"study", false, true}, {"stage"},      {"name", false, true}, {"state"},
      {"", true},    {"params", true},       {"FLOPs", true}};
  for (const std::string& metric : metrics) columns.push_back({metric, true});
  columns.push_back({"time", true});
  columns.push_back({"worker", false, true});
  columns.push_back({"reason", false, true});
  std::vector<std::vector<Cell>> rows;
  for (const v1::Run& run : runs.runs()) {
    bool under_way = run.state() == v1::RUN_STATE_RUNNING;
    std::vector<Cell> row = {{std::to_string(run.id())},
                             {studies.size() > 1 ? run.study() : ""},
                             {run.stage()},
                             {run.name() + (run.holdout() ? "  held out" : "")},
                             {state_of(run), color_of(run.state())},
                             {under_way ? format_percent(run.progress()) : ""},
                             {run.model_params() > 0 ? format_count(static_cast<double>(run.model_params())) : ""},
                             {run.flops() > 0 ? format_scientific(run.flops()) : ""}};
    for (const std::string& metric : metrics) {
      auto value = run.latest().find(metric);
      row.push_back({value == run.latest().end() ? "" : format_value(value->second)});
    }
    row.push_back({run.has_started() ? format_duration(seconds_spent(run)) : ""});
    row.push_back({run.worker()});
    row.push_back({run.state() == v1::RUN_STATE_SUCCEEDED || under_way ? "" : one_line(run.reason()), Color::kDim});
    rows.push_back(std::move(row));
  }
  print(table(columns, rows, session.terminal));
}

struct LogOptions {
  int run = 0;
  int tail = 0;
  bool follow = false;
};

void show_logs(Session& session, const LogOptions& options) {
  v1::GetLogsRequest request;
  request.set_run_id(options.run);
  request.set_follow(options.follow);
  request.set_tail_lines(options.tail);
  grpc::ClientContext context;
  Interrupt interrupt([&context] { context.TryCancel(); });
  auto stream = v1::Runs::NewStub(session.channel())->Logs(&context, request);
  v1::LogChunk chunk;
  int attempt = 0;
  while (stream->Read(&chunk)) {
    if (session.json) {
      print(to_json(chunk).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    } else {
      if (attempt != 0 && chunk.attempt() != attempt)
        print(session.terminal.paint(Color::kDim, fmt::format("— attempt {} —", chunk.attempt())) + "\n");
      attempt = chunk.attempt();
      print(chunk.text());
      if (!chunk.text().empty() && chunk.text().back() != '\n') print("\n");
    }
    std::fflush(stdout);
  }
  grpc::Status status = stream->Finish();
  if (interrupt.requested()) {
    session.exit_code = kInterrupted;
  } else if (!status.ok()) {
    session.exit_code = report(session, status);
  }
}

void retry(Session& session, int run_id) {
  v1::RetryRunRequest request;
  request.set_run_id(run_id);
  v1::Run run;
  if (!call(session, *v1::Runs::NewStub(session.channel()), &Stub::Retry, request, run)) return;
  if (session.json) return print_json(run);
  print(fmt::format("Run {} ({} {}) is {} again.\n", run.id(), run.stage(), run.name(), state_of(run)));
}

}  // namespace

void add_run_commands(CLI::App& app, Session& session) {
  auto list = std::make_shared<ListOptions>();
  CLI::App& runs = add_command(app, "runs", "List runs with their newest figures", "scalelaw runs --study diffusion");
  runs.add_option("--sweep", list->sweep, "Only of this sweep (number or name)");
  runs.add_option("--study", list->study, "Only of this study");
  std::vector<std::string> names;
  for (const auto& [name, state] : states()) names.push_back(name);
  runs.add_option("--state", list->states, "Only in these states")->delimiter(',')->check(CLI::IsMember(names));
  runs.callback([&session, list] { list_runs(session, *list); });

  auto log = std::make_shared<LogOptions>();
  CLI::App& logs = add_command(app, "logs", "Show what a run's trainer printed", "scalelaw logs 12 -f");
  logs.add_option("RUN", log->run, "A run's number")->required();
  logs.add_flag("--follow,-f", log->follow, "Go on until the run has ended");
  logs.add_option("--tail", log->tail, "Only the last so many lines")->check(CLI::PositiveNumber);
  logs.callback([&session, log] { show_logs(session, *log); });

  auto run = std::make_shared<int>(0);
  CLI::App& retry_command =
      add_command(app, "retry", "Queue a failed, cancelled or skipped run again", "scalelaw retry 12");
  retry_command.add_option("RUN", *run, "A run's number")->required();
  retry_command.callback([&session, run] { retry(session, *run); });
}

}  // namespace scalelaw::cli
