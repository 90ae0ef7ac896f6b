#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/follow.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/sweep_file.h"
#include "proto/message_json.h"
#include "scalelaw/v1/runs.grpc.pb.h"
#include "scalelaw/v1/sweeps.grpc.pb.h"

namespace scalelaw::cli {
namespace {

using Stub = v1::Sweeps::Stub;

std::string plural(int64_t count, const std::string& thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

void print_plan(const Session& session, const v1::SubmitSweepResponse& response) {
  std::vector<std::vector<Cell>> rows;
  std::map<std::string, std::pair<int, double>> totals;
  std::vector<std::string> stages;
  for (const v1::Run& run : response.runs()) {
    auto [total, fresh] = totals.emplace(run.stage(), std::pair{0, 0.0});
    if (fresh) stages.push_back(run.stage());
    total->second.first += 1;
    total->second.second += run.budget_flops();
  }
  for (const std::string& stage : stages) {
    auto [count, flops] = totals[stage];
    std::string first, last;
    for (const v1::Run& run : response.runs()) {
      if (run.stage() != stage) continue;
      if (first.empty()) first = run.name();
      last = run.name();
    }
    rows.push_back({{stage},
                    {fmt::format("{}", count)},
                    {flops > 0 ? format_flops(flops) : "–"},
                    {count == 1 ? first : fmt::format("{}  …  {}", first, last)}});
  }
  print(table({{"stage"}, {"runs", true}, {"budget", true}, {"", false, true}}, rows, session.terminal));
}

struct SubmitOptions {
  std::string file;
  std::string key;
  int64_t add_seed = 0;
  std::optional<int32_t> priority;
  std::string owner;
  bool wait = false;
  bool dry_run = false;
};

/// The same sweep with other seeds: another repeat of the study.
void add_to_seeds(v1::SweepSpec& spec, int64_t offset) {
  if (offset == 0) return;
  for (v1::StageSpec& stage : *spec.mutable_stages()) {
    if (stage.seeds().empty()) stage.add_seeds(1);
    for (int64_t& seed : *stage.mutable_seeds()) seed += offset;
  }
}

void submit(Session& session, const SubmitOptions& options) {
  absl::StatusOr<SweepFile> file = read_sweep_file(options.file);
  if (!file.ok()) {
    session.exit_code = report_bad_input(std::string(file.status().message()));
    return;
  }
  v1::SubmitSweepRequest request;
  *request.mutable_spec() = file->spec;
  add_to_seeds(*request.mutable_spec(), options.add_seed);
  if (options.priority) request.mutable_spec()->set_priority(*options.priority);
  if (!options.owner.empty()) request.mutable_spec()->set_owner(options.owner);
  request.set_dry_run(options.dry_run);
  request.set_idempotency_key(options.key);
  v1::SubmitSweepResponse response;
  grpc::ClientContext context;
  set_deadline(context, kShortCall);
  grpc::Status status = v1::Sweeps::NewStub(session.channel())->Submit(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT ||
      status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    session.exit_code = report_bad_input(locate(*file, status.error_message()));
    return;
  }
  if (!status.ok()) {
    session.exit_code = report(session, status);
    return;
  }

  if (session.json && !options.wait) print_json(response);
  if (!session.json) {
    print_plan(session, response);
    std::string reused =
        response.reused() > 0 ? fmt::format(", {} of them done before and reused", response.reused()) : "";
    std::string runs = plural(response.runs_size(), "run");
    if (options.dry_run) {
      print(fmt::format("\n{} would make {}{}. Nothing was submitted.\n", request.spec().name(), runs, reused));
    } else {
      print(fmt::format("\nSubmitted {} as sweep {}: {}{}.\n", response.sweep().name(), response.sweep().id(), runs,
                        reused));
      if (!options.wait) print(fmt::format("Follow it with:  scalelaw watch {}\n", response.sweep().id()));
    }
    std::fflush(stdout);
  }
  if (options.wait && !options.dry_run)
    session.exit_code = follow(session, std::to_string(response.sweep().id()), false);
}

std::string state_of(const v1::Sweep& sweep) {
  return short_name(*v1::SweepState_descriptor()->FindValueByNumber(sweep.state()));
}

void list_sweeps(Session& session) {
  v1::ListSweepsResponse sweeps;
  if (!call(session, *v1::Sweeps::NewStub(session.channel()), &Stub::List, v1::ListSweepsRequest(), sweeps)) return;
  if (session.json) return print_json(sweeps);
  if (sweeps.sweeps().empty()) return print("No sweeps yet. Submit one with:  scalelaw submit FILE\n");
  std::vector<std::vector<Cell>> rows;
  for (const v1::Sweep& sweep : sweeps.sweeps()) {
    double end = sweep.has_finished() ? seconds(sweep.finished()) : now();
    rows.push_back(
        {{std::to_string(sweep.id())},
         {sweep.name()},
         {sweep.study()},
         {state_of(sweep), color_of(sweep.state())},
         {fmt::format("{}/{}", sweep.runs().succeeded(), sweep.runs().total())},
         {sweep.runs().failed() > 0 ? std::to_string(sweep.runs().failed()) : "", Color::kRed},
         {format_flops(sweep.flops_spent())},
         {format_duration(end - seconds(sweep.submitted()))},
         {sweep.has_seconds_left() && !is_over(sweep.state()) ? format_duration(sweep.seconds_left()) : ""}});
  }
  print(table({{"sweep", true},
               {"name", false, true},
               {"study", false, true},
               {"state"},
               {"done", true},
               {"failed", true},
               {"spent", true},
               {"time", true},
               {"left", true}},
              rows, session.terminal));
}

void show_sweep(Session& session, const std::string& name) {
  v1::GetSweepRequest request;
  request.set_sweep(name);
  v1::SweepSnapshot snapshot;
  if (!call(session, *v1::Sweeps::NewStub(session.channel()), &Stub::Get, request, *snapshot.mutable_sweep())) return;
  v1::ListRunsRequest runs_request;
  runs_request.set_sweep(std::to_string(snapshot.sweep().id()));
  v1::ListRunsResponse runs;
  if (!call(session, *v1::Runs::NewStub(session.channel()), &v1::Runs::Stub::List, runs_request, runs)) return;
  *snapshot.mutable_runs() = runs.runs();
  if (session.json) return print_json(snapshot);
  Terminal unlimited = session.terminal;
  unlimited.height = 0;
  for (const std::string& line : render_progress(snapshot, unlimited, now())) print(line + "\n");
}

void pause(Session& session, const std::string& name, bool let_running_finish) {
  v1::PauseSweepRequest request;
  request.set_sweep(name);
  request.set_let_running_finish(let_running_finish);
  v1::Sweep sweep;
  if (!call(session, *v1::Sweeps::NewStub(session.channel()), &Stub::Pause, request, sweep)) return;
  if (session.json) return print_json(sweep);
  const std::string running = plural(sweep.runs().running(), "run");
  print(fmt::format("Sweep {} ({}) is paused{}.\nGo on with:  scalelaw resume {}\n", sweep.id(), sweep.name(),
                    sweep.runs().running() == 0 ? ""
                    : let_running_finish        ? fmt::format(": {} still to finish", running)
                                                : fmt::format(": {} to save a checkpoint and stop", running),
                    sweep.id()));
}

struct ResumeOptions {
  std::optional<double> flops, slot_hours;
};

void resume(Session& session, const std::string& name, const ResumeOptions& options) {
  v1::ResumeSweepRequest request;
  request.set_sweep(name);
  if (options.flops) request.set_limit_flops(*options.flops);
  if (options.slot_hours) request.set_limit_slot_hours(*options.slot_hours);
  v1::Sweep sweep;
  if (!call(session, *v1::Sweeps::NewStub(session.channel()), &Stub::Resume, request, sweep)) return;
  if (session.json) return print_json(sweep);
  print(fmt::format("Sweep {} ({}) goes on: {} left.\n", sweep.id(), sweep.name(),
                    plural(sweep.runs().queued() + sweep.runs().waiting() + sweep.runs().running(), "run")));
}

void cancel(Session& session, const std::string& name) {
  v1::CancelSweepRequest request;
  request.set_sweep(name);
  v1::Sweep sweep;
  if (!call(session, *v1::Sweeps::NewStub(session.channel()), &Stub::Cancel, request, sweep)) return;
  if (session.json) return print_json(sweep);
  if (!is_over(sweep.state())) {
    print(fmt::format("Cancelling sweep {} ({}): {} to stop.\n", sweep.id(), sweep.name(),
                      plural(sweep.runs().running(), "run")));
  } else {
    print(fmt::format("Sweep {} ({}) is {}.\n", sweep.id(), sweep.name(), state_of(sweep)));
  }
}

}  // namespace

void add_sweep_commands(CLI::App& app, Session& session) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App& submit_command =
      add_command(app, "submit", "Submit a sweep file", "scalelaw submit examples/first-law.yaml --wait");
  submit_command.add_option("FILE", options->file, "A sweep file (YAML), or - for standard input")->required();
  submit_command.add_flag("--wait,-w", options->wait, "Stay and watch until the sweep has ended");
  submit_command.add_flag("--dry-run,-n", options->dry_run, "Check the file and show its runs; submit nothing");
  submit_command.add_option("--add-seed", options->add_seed, "Added to every seed: the same sweep once more")
      ->check(CLI::NonNegativeNumber);
  submit_command.add_option("--priority", options->priority, "Instead of the file's: larger goes first");
  submit_command.add_option("--owner", options->owner, "Instead of the file's: whose share of the slots it uses");
  submit_command.add_option("--key", options->key, "Submitting twice with the same key gives the same sweep");
  submit_command.callback([&session, options] { submit(session, *options); });

  auto sweep = std::make_shared<std::string>();
  CLI::App& status = add_command(app, "status", "List the sweeps, or show one", "scalelaw status first-law");
  status.add_option("SWEEP", *sweep, "A sweep's number or name; without it, all sweeps");
  status.callback([&session, sweep] { sweep->empty() ? list_sweeps(session) : show_sweep(session, *sweep); });

  CLI::App& watch = add_command(app, "watch", "Follow a sweep live until it ends", "scalelaw watch first-law");
  watch.add_option("SWEEP", *sweep, "A sweep's number or name")->required();
  watch.callback([&session, sweep] { session.exit_code = follow(session, *sweep, true); });

  CLI::App& pause_command = add_command(app, "pause", "Start nothing more of a sweep until it is resumed",
                                        "scalelaw pause first-law --let-running-finish");
  auto let_finish = std::make_shared<bool>(false);
  pause_command.add_option("SWEEP", *sweep, "A sweep's number or name")->required();
  pause_command.add_flag("--let-running-finish", *let_finish,
                         "Running runs go on to their end, instead of saving a checkpoint and stopping");
  pause_command.callback([&session, sweep, let_finish] { pause(session, *sweep, *let_finish); });

  CLI::App& resume_command =
      add_command(app, "resume", "Go on with a paused sweep", "scalelaw resume first-law --limit-flops 2e15");
  auto resume_options = std::make_shared<ResumeOptions>();
  resume_command.add_option("SWEEP", *sweep, "A sweep's number or name")->required();
  resume_command.add_option("--limit-flops", resume_options->flops, "A new limit in training FLOPs; 0: none")
      ->check(CLI::NonNegativeNumber);
  resume_command.add_option("--limit-slot-hours", resume_options->slot_hours, "A new limit in slots × hours; 0: none")
      ->check(CLI::NonNegativeNumber);
  resume_command.callback([&session, sweep, resume_options] { resume(session, *sweep, *resume_options); });

  CLI::App& cancel_command = add_command(app, "cancel", "Cancel a sweep", "scalelaw cancel first-law");
  cancel_command.add_option("SWEEP", *sweep, "A sweep's number or name")->required();
  cancel_command.callback([&session, sweep] { cancel(session, *sweep); });
}

}  // namespace scalelaw::cli
