// A whole server in this process, reached over loopback as any client reaches it, and workers that are played by the
// test.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <google/protobuf/text_format.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "scalelaw/v1/runs.grpc.pb.h"
#include "scalelaw/v1/sweeps.grpc.pb.h"
#include "scalelaw/v1/workers.grpc.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/rpc/runs_service.h"
#include "server/rpc/server.h"
#include "server/rpc/sweeps_service.h"
#include "server/rpc/workers_service.h"
#include "server/store/store.h"
#include "tests/server/temporary_directory.h"

namespace scalelaw::server {

using namespace std::chrono_literals;

/// Of a sweep of two runs.
inline const char* const kTwoRuns = "stages { name: 'one' command: 'true' budget { steps: [10] } seeds: [1, 2] }";

/// One worker's two streams, driven by hand.
class PlayedWorker {
 public:
  PlayedWorker(const std::shared_ptr<grpc::Channel>& channel, const std::string& uid, int slots = 1,
               const std::vector<int64_t>& held = {})
      : stub_(v1::Workers::NewStub(channel)) {
    session_ = stub_->Session(&session_context_);
    delivery_ = stub_->Deliver(&delivery_context_);
    v1::WorkerMessage message;
    message.mutable_hello()->set_worker_uid(uid);
    message.mutable_hello()->set_name(uid);
    message.mutable_hello()->set_host("host");
    message.mutable_hello()->set_slots(static_cast<uint32_t>(slots));
    for (const int64_t attempt : held) message.mutable_hello()->add_attempt_ids(attempt);
    session_->Write(message);
    welcome = next().welcome();
  }
  ~PlayedWorker() { leave(); }

  void leave() {
    session_context_.TryCancel();
    delivery_context_.TryCancel();
  }
  /// Blocks for the coordinator's next message; empty when the session is over.
  v1::CoordinatorMessage next() {
    v1::CoordinatorMessage message;
    if (!session_->Read(&message)) message.Clear();
    return message;
  }
  v1::Assignment next_assignment() { return next().assign(); }
  void heartbeat(const std::vector<int64_t>& attempts = {}) {
    v1::WorkerMessage message;
    message.mutable_heartbeat();
    for (const int64_t attempt : attempts) message.mutable_heartbeat()->add_attempt_ids(attempt);
    session_->Write(message);
  }
  void update(int64_t attempt, v1::AttemptState state, int64_t events_end = 0, int exit_code = 0,
              bool permanent = false) {
    v1::WorkerMessage message;
    v1::AttemptUpdate& update = *message.mutable_update();
    update.set_attempt_id(attempt);
    update.set_state(state);
    update.set_events_end(events_end);
    update.set_exit_code(exit_code);
    update.set_permanent(permanent);
    if (exit_code != 0) update.set_reason("exit " + std::to_string(exit_code));
    session_->Write(message);
  }
  v1::RecordAck deliver(int64_t attempt, int64_t begin, int64_t end, const std::string& records) {
    v1::RecordBatch batch;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(records, &batch));
    batch.set_attempt_id(attempt);
    batch.set_source(v1::RECORD_SOURCE_EVENTS);
    batch.set_begin(begin);
    batch.set_end(end);
    delivery_->Write(batch);
    v1::RecordAck ack;
    EXPECT_TRUE(delivery_->Read(&ack));
    return ack;
  }
  /// Runs an assignment to its successful end.
  void train(const v1::Assignment& assignment, double loss = 0.5, const std::string& artifact = "") {
    update(assignment.attempt_id(), v1::ATTEMPT_STATE_RUNNING);
    std::string records =
        "records { start { params: 100 flops_per_sample: 10 } } records { metrics { step: 1 samples: 2 "
        "flops: 20 values { key: 'loss' value: " +
        std::to_string(loss) + " } } }";
    if (!artifact.empty()) {
      records += " records { artifact { name: '" + artifact + "' path: '/" + artifact + ".pt' kind: 'model' } }";
    }
    deliver(assignment.attempt_id(), 0, 100, records);
    update(assignment.attempt_id(), v1::ATTEMPT_STATE_SUCCEEDED, 100);
  }
  grpc::Status finish() {
    session_context_.TryCancel();
    return session_->Finish();
  }
  grpc::Status session_status() { return session_->Finish(); }

  v1::Welcome welcome;

 private:
  std::unique_ptr<v1::Workers::Stub> stub_;
  grpc::ClientContext session_context_;
  grpc::ClientContext delivery_context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> session_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::RecordBatch, v1::RecordAck>> delivery_;
};

class ServiceFixture : public testing::Test {
 protected:
  void SetUp() override { start(); }
  void TearDown() override { stop(); }

  void start() {
    auto opened = Store::open(directory.path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    store = *std::move(opened);
    coordinator = *Coordinator::start(*store, {lease, lease / 6});
    sweeps_service = std::make_unique<SweepsService>(*store, *coordinator);
    runs_service = std::make_unique<RunsService>(*store, *coordinator);
    workers_service = std::make_unique<WorkersService>(*coordinator);
    auto served = RpcServer::start({"127.0.0.1", 0}, {sweeps_service.get(), runs_service.get(), workers_service.get()});
    ASSERT_TRUE(served.ok()) << served.status();
    server = *std::move(served);
    channel = grpc::CreateChannel(server->address(), grpc::InsecureChannelCredentials());
    sweeps = v1::Sweeps::NewStub(channel);
    runs = v1::Runs::NewStub(channel);
    workers = v1::Workers::NewStub(channel);
  }
  void stop() {
    if (store != nullptr) store->close();
    if (coordinator != nullptr) coordinator->end_sessions(absl::UnavailableError("stopping"));
    server.reset();
    workers_service.reset();
    runs_service.reset();
    sweeps_service.reset();
    coordinator.reset();
    store.reset();
  }
  void restart() {
    stop();
    start();
  }

  std::unique_ptr<PlayedWorker> worker(const std::string& uid = "w1", int slots = 1,
                                       const std::vector<int64_t>& held = {}) {
    return std::make_unique<PlayedWorker>(channel, uid, slots, held);
  }
  grpc::Status submit(const v1::SubmitSweepRequest& request, v1::SubmitSweepResponse* response) {
    grpc::ClientContext context;
    return sweeps->Submit(&context, request, response);
  }
  /// `stages`: the stages of a SweepSpec as text.
  v1::SubmitSweepResponse submit(const std::string& name, const std::string& stages, const std::string& key = "",
                                 bool dry_run = false) {
    v1::SubmitSweepRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(stages, request.mutable_spec()));
    request.mutable_spec()->set_name(name);
    request.mutable_spec()->set_study("study");
    request.set_idempotency_key(key);
    request.set_dry_run(dry_run);
    v1::SubmitSweepResponse response;
    const grpc::Status status = submit(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  v1::Run run(int id) {
    grpc::ClientContext context;
    v1::GetRunRequest request;
    request.set_run_id(id);
    v1::Run response;
    const grpc::Status status = runs->Get(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  v1::Sweep sweep(const std::string& name) {
    grpc::ClientContext context;
    v1::GetSweepRequest request;
    request.set_sweep(name);
    v1::Sweep response;
    const grpc::Status status = sweeps->Get(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  v1::Sweep cancel(const std::string& name) {
    grpc::ClientContext context;
    v1::CancelSweepRequest request;
    request.set_sweep(name);
    v1::Sweep response;
    const grpc::Status status = sweeps->Cancel(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  std::vector<v1::Worker> list_workers() {
    grpc::ClientContext context;
    v1::ListWorkersResponse response;
    EXPECT_TRUE(workers->List(&context, {}, &response).ok());
    return {response.workers().begin(), response.workers().end()};
  }
  /// Waits for something that other threads bring about; the limit only ends a broken test.
  template <class Condition>
  static bool eventually(Condition condition) {
    for (const auto give_up = std::chrono::steady_clock::now() + 20s; std::chrono::steady_clock::now() < give_up;) {
      if (condition()) return true;
      std::this_thread::sleep_for(2ms);
    }
    return false;
  }

  std::chrono::milliseconds lease = 30s;
  TemporaryDirectory directory;
  std::unique_ptr<Store> store;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<SweepsService> sweeps_service;
  std::unique_ptr<RunsService> runs_service;
  std::unique_ptr<WorkersService> workers_service;
  std::unique_ptr<RpcServer> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Sweeps::Stub> sweeps;
  std::unique_ptr<v1::Runs::Stub> runs;
  std::unique_ptr<v1::Workers::Stub> workers;
};

}  // namespace scalelaw::server
