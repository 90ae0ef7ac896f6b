#include "server/rpc/workers_service.h"

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "server/rpc/bidi_stream.h"
#include "server/rpc/status.h"

namespace scalelaw::server {

namespace {
// Batches of one stream that may be on their way to the disk; the next is not read before one of them is committed.
constexpr int kMaxUncommitted = 16;
constexpr uint32_t kMaxSlots = 4096;

absl::Status check(const v1::Hello& hello) {
  if (hello.worker_uid().empty()) return absl::InvalidArgumentError("hello.worker_uid: must not be empty");
  if (hello.slots() < 1 || hello.slots() > kMaxSlots) {
    return absl::InvalidArgumentError("hello.slots: must be 1 to " + std::to_string(kMaxSlots));
  }
  if (hello.gpu_memory_bytes() < 0) return absl::InvalidArgumentError("hello.gpu_memory_bytes: must be 0 or more");
  return absl::OkStatus();
}

class SessionStream final : public BidiStream<v1::WorkerMessage, v1::CoordinatorMessage>, public WorkerLink {
 public:
  explicit SessionStream(Coordinator& coordinator) : coordinator_(coordinator) {}

  void send(v1::CoordinatorMessage message) override { send_message(std::move(message)); }
  void close(absl::Status reason) override { finish(to_grpc(reason)); }

 private:
  std::shared_ptr<WorkerLink> link() { return std::static_pointer_cast<SessionStream>(shared_from_this()); }

  void received(v1::WorkerMessage message) override {
    if (message.has_hello() == greeted_) {
      finish({grpc::StatusCode::INVALID_ARGUMENT, "message: a session begins with its only `hello`"});
      return;
    }
    if (message.has_hello()) {
      if (absl::Status status = check(message.hello()); !status.ok()) {
        finish(to_grpc(status));
        return;
      }
      greeted_ = true;
      coordinator_.open_session(std::move(*message.mutable_hello()), link());
    } else {
      coordinator_.receive(std::move(message), link());
    }
    read();
  }
  void half_closed() override { finish(grpc::Status::OK); }
  void closed() override {
    if (greeted_) coordinator_.session_ended(link());
  }

  Coordinator& coordinator_;
  bool greeted_ = false;
};

class DeliveryStream final : public BidiStream<v1::RecordBatch, v1::RecordAck> {
 public:
  explicit DeliveryStream(Coordinator& coordinator) : coordinator_(coordinator) {}

 private:
  void received(v1::RecordBatch batch) override {
    if (batch.source() != v1::RECORD_SOURCE_EVENTS && batch.source() != v1::RECORD_SOURCE_OUTPUT) {
      finish({grpc::StatusCode::INVALID_ARGUMENT, "source: must be RECORD_SOURCE_EVENTS or RECORD_SOURCE_OUTPUT"});
      return;
    }
    bool may_read = false;
    {
      const std::lock_guard lock(mutex_);
      may_read = ++uncommitted_ < kMaxUncommitted;
      paused_ = !may_read;
    }
    coordinator_.deliver(std::move(batch), [self = std::static_pointer_cast<DeliveryStream>(shared_from_this())](
                                               absl::StatusOr<v1::RecordAck> ack) { self->committed(std::move(ack)); });
    if (may_read) read();
  }

  void committed(absl::StatusOr<v1::RecordAck> ack) {
    if (ack.ok()) {
      send_message(*std::move(ack));
    } else {
      finish(to_grpc(ack.status()));
    }
    bool resume = false;
    bool all_done = false;
    {
      const std::lock_guard lock(mutex_);
      --uncommitted_;
      resume = std::exchange(paused_, false);
      all_done = half_closed_ && uncommitted_ == 0;
    }
    if (resume) read();
    if (all_done) finish(grpc::Status::OK);
  }

  void half_closed() override {
    bool all_done = false;
    {
      const std::lock_guard lock(mutex_);
      half_closed_ = true;
      all_done = uncommitted_ == 0;
    }
    if (all_done) finish(grpc::Status::OK);
  }
  void closed() override {}

  Coordinator& coordinator_;
  std::mutex mutex_;
  int uncommitted_ = 0;
  bool paused_ = false;
  bool half_closed_ = false;
};

/// Answers with the worker or the error.
std::function<void(absl::StatusOr<v1::Worker>)> answer(grpc::ServerUnaryReactor* reactor, v1::Worker* response) {
  return [reactor, response](absl::StatusOr<v1::Worker> worker) {
    if (worker.ok()) response->Swap(&*worker);
    reactor->Finish(to_grpc(worker.status()));
  };
}
}  // namespace

grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* WorkersService::Session(
    grpc::CallbackServerContext*) {
  const auto stream = std::make_shared<SessionStream>(coordinator_);
  stream->start();
  return stream.get();
}

grpc::ServerBidiReactor<v1::RecordBatch, v1::RecordAck>* WorkersService::Deliver(grpc::CallbackServerContext*) {
  const auto stream = std::make_shared<DeliveryStream>(coordinator_);
  stream->start();
  return stream.get();
}

grpc::ServerUnaryReactor* WorkersService::List(grpc::CallbackServerContext* context, const v1::ListWorkersRequest*,
                                               v1::ListWorkersResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.list_workers([reactor, response](std::vector<v1::Worker> workers) {
    for (v1::Worker& worker : workers) *response->add_workers() = std::move(worker);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* WorkersService::Drain(grpc::CallbackServerContext* context,
                                                const v1::DrainWorkerRequest* request, v1::Worker* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.drain(request->worker(), request->reason().empty() ? "by a person" : request->reason(),
                     answer(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* WorkersService::Undrain(grpc::CallbackServerContext* context,
                                                  const v1::UndrainWorkerRequest* request, v1::Worker* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_.drain(request->worker(), "", answer(reactor, response));
  return reactor;
}

}  // namespace scalelaw::server
