#include <map>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands/commands.h"
#include "cli/format.h"
#include "scalelaw/v1/workers.grpc.pb.h"

namespace scalelaw::cli {
namespace {

void list_workers(Session& session) {
  v1::ListWorkersResponse workers;
  auto stub = v1::Workers::NewStub(session.channel());
  if (!call(session, *stub, &v1::Workers::Stub::List, v1::ListWorkersRequest(), workers)) return;
  if (session.json) return print_json(workers);
  if (workers.workers().empty())
    return print(
        fmt::format("No workers yet. Start one with:  scalelaw-worker --server {} --work-dir DIR\n", session.server));
  std::vector<std::vector<Cell>> rows;
  for (const v1::Worker& worker : workers.workers()) {
    std::map<std::string, std::string> labels(worker.labels().begin(), worker.labels().end());
    std::vector<std::string> label_texts;
    for (const auto& [key, value] : labels) label_texts.push_back(key + "=" + value);
    Color color = worker.state() == "lost"       ? Color::kRed
                  : worker.state() == "draining" ? Color::kYellow
                                                 : Color::kGreen;
    if (!worker.gpu_model().empty()) {
      label_texts.push_back(fmt::format("{} ({:.0f} GiB)", worker.gpu_model(),
                                        static_cast<double>(worker.gpu_memory_bytes()) / (1 << 30)));
    }
    rows.push_back({{std::to_string(worker.id())},
                    {worker.name()},
                    {worker.host() == worker.name() ? "" : worker.host()},
                    {worker.state(), color},
                    {fmt::format("{}/{}", worker.slots_used(), worker.slots())},
                    {fmt::format("{}", fmt::join(worker.run_ids(), " "))},
                    {fmt::format("{}", fmt::join(label_texts, " "))},
                    {worker.has_last_seen() ? format_duration(now() - seconds(worker.last_seen())) + " ago" : ""},
                    {one_line(worker.reason()), Color::kDim}});
  }
  print(table({{"worker", true},
               {"name", false, true},
               {"host", false, true},
               {"state"},
               {"slots", true},
               {"runs", false, true},
               {"labels", false, true},
               {"seen", true},
               {"", false, true}},
              rows, session.terminal));
}

}  // namespace

void add_worker_commands(CLI::App& app, Session& session) {
  auto worker = std::make_shared<std::string>();
  auto reason = std::make_shared<std::string>();
  CLI::App& drain = add_command(app, "drain", "Give a worker nothing more; what runs there goes on",
                                "scalelaw drain node-7 --reason 'new driver on Monday'");
  drain.add_option("WORKER", *worker, "A worker's number or name")->required();
  drain.add_option("--reason", *reason, "Why, for the others");
  drain.callback([&session, worker, reason] {
    v1::DrainWorkerRequest request;
    request.set_worker(*worker);
    request.set_reason(*reason);
    v1::Worker drained;
    if (!call(session, *v1::Workers::NewStub(session.channel()), &v1::Workers::Stub::Drain, request, drained)) return;
    if (session.json) return print_json(drained);
    print(fmt::format(
        "Worker {} ({}) gets nothing more; {} there.\nTake it back with:  scalelaw undrain {}\n", drained.id(),
        drained.name(),
        drained.run_ids().empty() ? "nothing runs" : fmt::format("runs {} go on", fmt::join(drained.run_ids(), ", ")),
        drained.id()));
  });

  CLI::App& undrain = add_command(app, "undrain", "Let a drained worker have runs again", "scalelaw undrain node-7");
  undrain.add_option("WORKER", *worker, "A worker's number or name")->required();
  undrain.callback([&session, worker] {
    v1::UndrainWorkerRequest request;
    request.set_worker(*worker);
    v1::Worker back;
    if (!call(session, *v1::Workers::NewStub(session.channel()), &v1::Workers::Stub::Undrain, request, back)) return;
    if (session.json) return print_json(back);
    print(fmt::format("Worker {} ({}) is {}.\n", back.id(), back.name(), back.state()));
  });

  add_command(app, "workers", "List the workers and what they are doing", "scalelaw workers").callback([&session] {
    list_workers(session);
  });
}

}  // namespace scalelaw::cli
