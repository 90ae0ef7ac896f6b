#include <map>

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
    rows.push_back({{std::to_string(worker.id())},
                    {worker.name()},
                    {worker.host() == worker.name() ? "" : worker.host()},
                    {worker.state(), color},
                    {fmt::format("{}/{}", worker.slots_used(), worker.slots())},
                    {fmt::format("{}", fmt::join(worker.run_ids(), " "))},
                    {fmt::format("{}", fmt::join(label_texts, " "))},
                    {worker.has_last_seen() ? format_duration(now() - seconds(worker.last_seen())) + " ago" : ""}});
  }
  print(table({{"worker", true},
               {"name", false, true},
               {"host", false, true},
               {"state"},
               {"slots", true},
               {"runs", false, true},
               {"labels", false, true},
               {"seen", true}},
              rows, session.terminal));
}

}  // namespace

void add_worker_commands(CLI::App& app, Session& session) {
  add_command(app, "workers", "List the workers and what they are doing", "scalelaw workers").callback([&session] {
    list_workers(session);
  });
}

}  // namespace scalelaw::cli
