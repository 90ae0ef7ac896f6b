#include "server/rpc/runs_service.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <string>
#include <utility>

#include "server/expansion/import_validation.h"
#include "server/rpc/guard.h"
#include "server/rpc/polled_stream.h"
#include "server/rpc/status.h"

namespace scalelaw::server {

namespace {
constexpr std::chrono::milliseconds kLogInterval{100};
// Of log text per message; well under gRPC's default limit of 4 MiB.
constexpr int64_t kLogMessageBytes = 1 << 20;

bool over(const v1::Run& run) {
  return run.state() != v1::RUN_STATE_WAITING && run.state() != v1::RUN_STATE_QUEUED &&
         run.state() != v1::RUN_STATE_RUNNING;
}

/// Only the newest lines of the chunks; a chunk need not end with a line.
void keep_last_lines(std::vector<LogText>& chunks, int32_t lines) {
  int32_t breaks = 0;
  bool at_end = true;
  for (size_t i = chunks.size(); i-- > 0;) {
    std::string& text = chunks[i].text;
    for (size_t at = text.size(); at-- > 0;) {
      // The break after the last line ends it; it does not begin another.
      if (text[at] == '\n' && !std::exchange(at_end, false) && ++breaks == lines) {
        text.erase(0, at + 1);
        chunks.erase(chunks.begin(), chunks.begin() + static_cast<int64_t>(i));
        return;
      }
      at_end = false;
    }
  }
}

class LogStream final : public PolledStream<v1::LogChunk> {
 public:
  LogStream(const Store& store, const v1::GetLogsRequest& request)
      : PolledStream(kLogInterval), store_(store), request_(request) {}

 private:
  News poll() override {
    // Looked at before the log: what a run printed before it ended is then seen in this look.
    const absl::StatusOr<v1::Run> run = store_.run(request_.run_id());
    if (!run.ok()) return {std::nullopt, true, to_grpc(run.status())};
    if (absl::Status status = fetch(); !status.ok()) return {std::nullopt, true, to_grpc(status)};
    const bool ends = !more_ && (over(*run) || !request_.follow());
    if (pending_.empty()) return {std::nullopt, ends, grpc::Status::OK};
    v1::LogChunk message = take();
    return {std::move(message), ends && pending_.empty(), grpc::Status::OK};
  }

  absl::Status fetch() {
    if (!pending_.empty()) return absl::OkStatus();
    const bool tail = std::exchange(first_, false) && request_.tail_lines() > 0;
    // A tail needs the end of all that is kept, which is little by construction.
    const int64_t bytes = tail ? INT64_MAX : kLogMessageBytes;
    absl::StatusOr<std::vector<LogText>> chunks = store_.logs(request_.run_id(), last_id_, bytes);
    if (!chunks.ok()) return chunks.status();
    more_ = !tail && !chunks->empty();
    if (!chunks->empty()) last_id_ = chunks->back().id;
    if (tail) keep_last_lines(*chunks, request_.tail_lines());
    pending_.assign(std::make_move_iterator(chunks->begin()), std::make_move_iterator(chunks->end()));
    return absl::OkStatus();
  }

  /// The next chunks of one attempt, up to the size of a message.
  v1::LogChunk take() {
    v1::LogChunk message;
    message.set_attempt(pending_.front().attempt);
    while (!pending_.empty() && pending_.front().attempt == message.attempt() &&
           static_cast<int64_t>(message.text().size()) < kLogMessageBytes) {
      message.mutable_text()->append(pending_.front().text);
      pending_.pop_front();
    }
    return message;
  }

  const Store& store_;
  const v1::GetLogsRequest request_;
  int64_t last_id_ = 0;
  bool first_ = true;
  /// There may be more to read at once.
  bool more_ = false;
  std::deque<LogText> pending_;
};
}  // namespace

grpc::ServerUnaryReactor* RunsService::Get(grpc::CallbackServerContext* context, const v1::GetRunRequest* request,
                                           v1::Run* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<v1::Run> run = store_.run(request->run_id());
  if (run.ok()) {
    presentation_.explain(*run);
    response->Swap(&*run);
  }
  reactor->Finish(to_grpc(run.status()));
  return reactor;
}

grpc::ServerUnaryReactor* RunsService::List(grpc::CallbackServerContext* context, const v1::ListRunsRequest* request,
                                            v1::ListRunsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<std::vector<v1::Run>> runs = std::vector<v1::Run>();
  if (request->sweep().empty()) {
    runs = store_.runs_of_study(request->study());
  } else if (const absl::StatusOr<v1::Sweep> sweep = store_.sweep(request->sweep()); sweep.ok()) {
    runs = store_.runs_of_sweep(sweep->id());
  } else {
    runs = sweep.status();
  }
  if (runs.ok()) {
    const auto& states = request->states();
    for (v1::Run& run : *runs) {
      if (!states.empty() && std::find(states.begin(), states.end(), run.state()) == states.end()) continue;
      if (!request->study().empty() && run.study() != request->study()) continue;
      presentation_.explain(run);
      *response->add_runs() = std::move(run);
    }
  }
  reactor->Finish(to_grpc(runs.status()));
  return reactor;
}

grpc::ServerUnaryReactor* RunsService::Metrics(grpc::CallbackServerContext* context,
                                               const v1::GetMetricsRequest* request, v1::GetMetricsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<std::vector<v1::Curve>> curves = store_.curves(request->run_id(), request->metric());
  if (curves.ok()) {
    for (v1::Curve& curve : *curves) *response->add_curves() = std::move(curve);
  }
  reactor->Finish(to_grpc(curves.status()));
  return reactor;
}

grpc::ServerWriteReactor<v1::LogChunk>* RunsService::Logs(grpc::CallbackServerContext*,
                                                          const v1::GetLogsRequest* request) {
  auto* stream = new LogStream(store_, *request);
  stream->start();
  return stream;
}

grpc::ServerUnaryReactor* RunsService::Retry(grpc::CallbackServerContext* context, const v1::RetryRunRequest* request,
                                             v1::Run* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<v1::Run> found = store_.run(request->run_id());
  const absl::StatusOr<v1::Sweep> sweep = found.ok() ? store_.sweep(std::to_string(found->sweep_id())) : found.status();
  const absl::Status allowed = sweep.ok() ? may_change(caller_of(*context), sweep->owner()) : sweep.status();
  if (!allowed.ok()) {
    reactor->Finish(to_grpc(allowed));
    return reactor;
  }
  coordinator_.retry(RunId{request->run_id()}, [this, reactor, response, id = request->run_id()](absl::Status status) {
    if (status.ok()) {
      absl::StatusOr<v1::Run> run = store_.run(id);
      if (run.ok()) response->Swap(&*run);
      status = run.status();
    }
    reactor->Finish(to_grpc(status));
  });
  return reactor;
}

grpc::ServerUnaryReactor* RunsService::Import(grpc::CallbackServerContext* context,
                                              const v1::ImportRunsRequest* request, v1::ImportRunsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (absl::Status status = validate(*request); !status.ok()) {
    reactor->Finish(to_grpc(status));
    return reactor;
  }
  coordinator_.import(*request, [reactor, response](const absl::StatusOr<Coordinator::Imported>& imported) {
    if (imported.ok()) {
      response->set_sweep_id(imported->sweep.value);
      response->set_added(imported->added);
    }
    reactor->Finish(to_grpc(imported.status()));
  });
  return reactor;
}

}  // namespace scalelaw::server
