#include "tests/worker/fake_coordinator.h"

#include <condition_variable>
#include <mutex>

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "scalelaw/v1/workers.grpc.pb.h"

namespace scalelaw::worker {
namespace {

bool is_final(v1::AttemptState state) {
  return state > v1::ATTEMPT_STATE_RUNNING;
}

}  // namespace

class FakeCoordinator::Service final : public v1::Workers::Service {
 public:
  using SessionStream = grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>;
  using DeliverStream = grpc::ServerReaderWriter<v1::RecordAck, v1::RecordBatch>;
  using Key = std::pair<std::int64_t, v1::RecordSource>;

  grpc::Status Session(grpc::ServerContext* context, SessionStream* stream) override {
    v1::WorkerMessage message;
    if (!stream->Read(&message) || !message.has_hello()) return {grpc::StatusCode::INVALID_ARGUMENT, "hello first"};
    {
      const std::lock_guard lock(mutex);
      hello = message.hello();
      ++hellos;
      contexts.insert(context);
      stream->Write(welcome());
      session = stream;
      changed.notify_all();
    }
    while (stream->Read(&message)) {
      const std::lock_guard lock(mutex);
      if (message.has_heartbeat()) ++heartbeats;
      if (message.has_draining()) draining = true;
      if (message.has_update()) on_update(message.update(), stream);
    }
    const std::lock_guard lock(mutex);
    contexts.erase(context);
    if (session == stream) session = nullptr;
    return grpc::Status::OK;
  }

  grpc::Status Deliver(grpc::ServerContext* context, DeliverStream* stream) override {
    {
      const std::lock_guard lock(mutex);
      contexts.insert(context);
    }
    v1::RecordBatch batch;
    while (stream->Read(&batch)) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !held || context->IsCancelled(); });
      const v1::RecordAck ack = commit(batch);
      if (lose_every > 0 && ++batches % lose_every == 0) {
        cut_locked();
        break;
      }
      stream->Write(ack);
    }
    const std::lock_guard lock(mutex);
    contexts.erase(context);
    return grpc::Status::OK;
  }

  v1::CoordinatorMessage welcome() {
    v1::CoordinatorMessage message;
    v1::Welcome& welcome = *message.mutable_welcome();
    welcome.set_worker_id(1);
    welcome.set_lease_seconds(30);
    welcome.set_heartbeat_seconds(0.05);
    for (const std::int64_t id : hello.attempt_ids()) {
      if (fenced.contains(id)) {
        welcome.add_fenced_attempt_ids(id);
        continue;
      }
      v1::Watermark& mark = *welcome.add_watermarks();
      mark.set_attempt_id(id);
      mark.set_events_offset(stored[{id, v1::RECORD_SOURCE_EVENTS}].committed);
      mark.set_output_offset(stored[{id, v1::RECORD_SOURCE_OUTPUT}].committed);
    }
    return message;
  }

  // The rule of workers.proto.
  v1::RecordAck commit(const v1::RecordBatch& batch) {
    v1::RecordAck ack;
    ack.set_attempt_id(batch.attempt_id());
    ack.set_source(batch.source());
    if (fenced.contains(batch.attempt_id())) {
      ack.set_fenced(true);
      return ack;
    }
    if (is_final(updates[batch.attempt_id()].state())) violations.push_back("a batch after the final update");
    FakeCoordinator::Delivered& source = stored[{batch.attempt_id(), batch.source()}];
    if (batch.begin() == source.committed && batch.end() > batch.begin()) {
      source.records.insert(source.records.end(), batch.records().begin(), batch.records().end());
      source.committed = batch.end();
    }
    ack.set_offset(source.committed);
    return ack;
  }

  void on_update(const v1::AttemptUpdate& update, SessionStream* stream) {
    const std::int64_t id = update.attempt_id();
    // "Running" may cross the fence on its way; the end may not.
    if (fenced.contains(id) && is_final(update.state())) {
      violations.push_back(fmt::format("the end of the fenced attempt {}", id));
    }
    if (is_final(update.state())) {
      if (stored[{id, v1::RECORD_SOURCE_EVENTS}].committed != update.events_end() ||
          stored[{id, v1::RECORD_SOURCE_OUTPUT}].committed != update.output_end()) {
        violations.push_back(fmt::format("the end of attempt {} before its records are committed", id));
      }
      v1::CoordinatorMessage message;
      message.mutable_update_ack()->set_attempt_id(id);
      stream->Write(message);
    }
    updates[id] = update;
  }

  void cut_locked() {
    for (grpc::ServerContext* context : contexts) context->TryCancel();
    session = nullptr;
    changed.notify_all();
  }

  void send(const v1::CoordinatorMessage& message) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(60), [&] { return session != nullptr; });
    if (session == nullptr || !session->Write(message)) violations.push_back("no worker to send to");
  }

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::string address;
  std::unique_ptr<grpc::Server> server;
  std::set<grpc::ServerContext*> contexts;
  SessionStream* session = nullptr;

  v1::Hello hello;
  int hellos = 0;
  int heartbeats = 0;
  bool draining = false;
  bool held = false;
  int lose_every = 0;
  int batches = 0;
  std::set<std::int64_t> fenced;
  std::map<Key, FakeCoordinator::Delivered> stored;
  std::map<std::int64_t, v1::AttemptUpdate> updates;
  std::vector<std::string> violations;
};

FakeCoordinator::FakeCoordinator() : service_(std::make_unique<Service>()) {}
FakeCoordinator::~FakeCoordinator() {
  shutdown();
}

const std::string& FakeCoordinator::address() const {
  return service_->address;
}

void FakeCoordinator::start() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(service_->address.empty() ? "127.0.0.1:0" : service_->address,
                           grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(service_.get());
  service_->server = builder.BuildAndStart();
  service_->address = fmt::format("127.0.0.1:{}", port);
}

void FakeCoordinator::shutdown() {
  if (!service_->server) return;
  {
    const std::lock_guard lock(service_->mutex);
    service_->held = false;
    service_->cut_locked();
  }
  service_->server->Shutdown(std::chrono::system_clock::now());
  service_->server->Wait();
  service_->server.reset();
}

void FakeCoordinator::cut() {
  const std::lock_guard lock(service_->mutex);
  service_->cut_locked();
}

void FakeCoordinator::assign(const v1::Assignment& assignment) {
  v1::CoordinatorMessage message;
  *message.mutable_assign() = assignment;
  service_->send(message);
}

void FakeCoordinator::stop(std::int64_t attempt, double grace_seconds, bool fenced) {
  v1::CoordinatorMessage message;
  message.mutable_stop()->set_attempt_id(attempt);
  message.mutable_stop()->set_grace_seconds(grace_seconds);
  message.mutable_stop()->set_fenced(fenced);
  message.mutable_stop()->set_reason("cancelled");
  if (fenced) fence(attempt);
  service_->send(message);
}

void FakeCoordinator::fence(std::int64_t attempt) {
  const std::lock_guard lock(service_->mutex);
  service_->fenced.insert(attempt);
}

void FakeCoordinator::lose_acknowledgement_of_every(int n) {
  const std::lock_guard lock(service_->mutex);
  service_->lose_every = n;
}

void FakeCoordinator::hold(bool held) {
  const std::lock_guard lock(service_->mutex);
  service_->held = held;
  service_->changed.notify_all();
}

FakeCoordinator::Delivered FakeCoordinator::delivered(std::int64_t attempt, v1::RecordSource source) const {
  const std::lock_guard lock(service_->mutex);
  return service_->stored[{attempt, source}];
}

std::string FakeCoordinator::output(std::int64_t attempt) const {
  std::string text;
  for (const v1::Record& record : delivered(attempt, v1::RECORD_SOURCE_OUTPUT).records) text += record.output();
  return text;
}

v1::AttemptUpdate FakeCoordinator::update(std::int64_t attempt) const {
  const std::lock_guard lock(service_->mutex);
  return service_->updates[attempt];
}
bool FakeCoordinator::ended(std::int64_t attempt) const {
  return is_final(update(attempt).state());
}

v1::Hello FakeCoordinator::hello() const {
  const std::lock_guard lock(service_->mutex);
  return service_->hello;
}
int FakeCoordinator::hellos() const {
  const std::lock_guard lock(service_->mutex);
  return service_->hellos;
}
int FakeCoordinator::heartbeats() const {
  const std::lock_guard lock(service_->mutex);
  return service_->heartbeats;
}
bool FakeCoordinator::draining() const {
  const std::lock_guard lock(service_->mutex);
  return service_->draining;
}
std::vector<std::string> FakeCoordinator::violations() const {
  const std::lock_guard lock(service_->mutex);
  return service_->violations;
}

}  // namespace scalelaw::worker
