#include "server/rpc/sweeps_service.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include <google/protobuf/util/message_differencer.h>

#include "server/rpc/guard.h"
#include "server/rpc/polled_stream.h"
#include "server/rpc/status.h"

namespace scalelaw::server {

namespace {
constexpr double kDefaultUpdatesPerSecond = 4;
constexpr double kMaxUpdatesPerSecond = 20;

/// Sends a snapshot whenever something was committed that shows in it.
class WatchStream final : public PolledStream<v1::SweepSnapshot> {
 public:
  WatchStream(const Store& store, const Presentation& presentation, std::string sweep,
              std::chrono::milliseconds interval)
      : PolledStream(interval), store_(store), presentation_(presentation), sweep_(std::move(sweep)) {}

 private:
  News poll() override {
    const uint64_t commits = store_.commits();
    if (commits == seen_) return {};
    absl::StatusOr<v1::SweepSnapshot> snapshot = presentation_.snapshot(sweep_);
    if (!snapshot.ok()) return {std::nullopt, true, to_grpc(snapshot.status())};
    seen_ = commits;
    // From now on by id: a newer sweep may take the name.
    sweep_ = std::to_string(snapshot->sweep().id());
    const v1::SweepState state = snapshot->sweep().state();
    const bool over = state != v1::SWEEP_STATE_RUNNING && state != v1::SWEEP_STATE_PAUSED;
    if (!over && google::protobuf::util::MessageDifferencer::Equals(*snapshot, sent_)) return {};
    sent_ = *snapshot;
    return {*std::move(snapshot), over, grpc::Status::OK};
  }

  const Store& store_;
  const Presentation& presentation_;
  std::string sweep_;
  std::optional<uint64_t> seen_;
  v1::SweepSnapshot sent_;
};
}  // namespace

grpc::ServerUnaryReactor* SweepsService::Submit(grpc::CallbackServerContext* context,
                                                const v1::SubmitSweepRequest* request,
                                                v1::SubmitSweepResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  v1::SweepSpec spec = request->spec();
  const absl::StatusOr<std::string> owner = owner_for(caller_of(*context), spec.owner());
  if (owner.ok()) spec.set_owner(*owner);
  absl::StatusOr<Expansion> expansion = owner.ok() ? expand(spec) : owner.status();
  if (!expansion.ok()) {
    reactor->Finish(to_grpc(expansion.status()));
    return reactor;
  }
  if (request->dry_run()) {
    v1::SweepSnapshot would_be = preview(*expansion);
    *response->mutable_sweep() = std::move(*would_be.mutable_sweep());
    *response->mutable_runs() = std::move(*would_be.mutable_runs());
  }
  coordinator_.submit(spec, *std::move(expansion), request->idempotency_key(), request->dry_run(),
                      [this, reactor, response](absl::StatusOr<Coordinator::Submitted> submitted) {
                        if (!submitted.ok()) {
                          reactor->Finish(to_grpc(submitted.status()));
                          return;
                        }
                        response->set_reused(submitted->reused);
                        if (submitted->sweep == SweepId{}) {
                          reactor->Finish(grpc::Status::OK);
                          return;
                        }
                        auto snapshot = presentation_.snapshot(std::to_string(submitted->sweep.value));
                        if (snapshot.ok()) {
                          *response->mutable_sweep() = std::move(*snapshot->mutable_sweep());
                          *response->mutable_runs() = std::move(*snapshot->mutable_runs());
                        }
                        reactor->Finish(to_grpc(snapshot.status()));
                      });
  return reactor;
}

grpc::ServerUnaryReactor* SweepsService::Get(grpc::CallbackServerContext* context, const v1::GetSweepRequest* request,
                                             v1::Sweep* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<v1::SweepSnapshot> snapshot = presentation_.snapshot(request->sweep());
  if (snapshot.ok()) *response = std::move(*snapshot->mutable_sweep());
  reactor->Finish(to_grpc(snapshot.status()));
  return reactor;
}

grpc::ServerUnaryReactor* SweepsService::List(grpc::CallbackServerContext* context,
                                              const v1::ListSweepsRequest* request, v1::ListSweepsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::StatusOr<std::vector<v1::Sweep>> sweeps = presentation_.sweeps(request->study());
  if (sweeps.ok()) {
    for (v1::Sweep& sweep : *sweeps) *response->add_sweeps() = std::move(sweep);
  }
  reactor->Finish(to_grpc(sweeps.status()));
  return reactor;
}

grpc::ServerWriteReactor<v1::SweepSnapshot>* SweepsService::Watch(grpc::CallbackServerContext*,
                                                                  const v1::WatchSweepRequest* request) {
  const double asked = request->updates_per_second();
  const double rate = asked > 0 ? std::min(asked, kMaxUpdatesPerSecond) : kDefaultUpdatesPerSecond;
  // Now and then even the slowest watch must notice that its client is gone.
  const auto interval = std::chrono::milliseconds(std::lround(std::min(1000 / rate, 1000.0)));
  auto* stream = new WatchStream(store_, presentation_, request->sweep(), interval);
  stream->start();
  return stream;
}

grpc::ServerUnaryReactor* SweepsService::change(grpc::CallbackServerContext* context, const std::string& sweep,
                                                v1::Sweep* response,
                                                const std::function<void(SweepId, Coordinator::Done)>& how) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<v1::Sweep> found = store_.sweep(sweep);
  const absl::Status allowed = found.ok() ? may_change(caller_of(*context), found->owner()) : found.status();
  if (!allowed.ok()) {
    reactor->Finish(to_grpc(allowed));
    return reactor;
  }
  how(SweepId{found->id()}, [this, reactor, response, id = found->id()](absl::Status status) {
    if (status.ok()) {
      absl::StatusOr<v1::Sweep> changed = store_.sweep(std::to_string(id));
      if (changed.ok()) response->Swap(&*changed);
      status = changed.status();
    }
    reactor->Finish(to_grpc(status));
  });
  return reactor;
}

grpc::ServerUnaryReactor* SweepsService::Cancel(grpc::CallbackServerContext* context,
                                                const v1::CancelSweepRequest* request, v1::Sweep* response) {
  return change(context, request->sweep(), response,
                [this](SweepId id, Coordinator::Done done) { coordinator_.cancel(id, std::move(done)); });
}

grpc::ServerUnaryReactor* SweepsService::Pause(grpc::CallbackServerContext* context,
                                               const v1::PauseSweepRequest* request, v1::Sweep* response) {
  return change(context, request->sweep(), response, [this, request](SweepId id, Coordinator::Done done) {
    coordinator_.pause(id, request->let_running_finish(), std::move(done));
  });
}

grpc::ServerUnaryReactor* SweepsService::Resume(grpc::CallbackServerContext* context,
                                                const v1::ResumeSweepRequest* request, v1::Sweep* response) {
  for (const auto& [given, field] :
       {std::pair{request->limit_flops(), "limit_flops"}, std::pair{request->limit_slot_hours(), "limit_slot_hours"}}) {
    if (std::isfinite(given) && given >= 0) continue;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish({grpc::StatusCode::INVALID_ARGUMENT, std::string(field) + ": must be 0 (no limit) or more"});
    return reactor;
  }
  return change(context, request->sweep(), response, [this, request](SweepId id, Coordinator::Done done) {
    const auto given = [](bool has, double value) { return has ? std::optional(value) : std::nullopt; };
    coordinator_.resume(id, given(request->has_limit_flops(), request->limit_flops()),
                        given(request->has_limit_slot_hours(), request->limit_slot_hours()), std::move(done));
  });
}

}  // namespace scalelaw::server
