// The worker's side of the protocol without trainers: enough to be given runs and to deliver their records.
#pragma once

#include <memory>
#include <string>

#include <google/protobuf/text_format.h>
#include <grpcpp/grpcpp.h>

#include "scalelaw/v1/sweeps.grpc.pb.h"
#include "scalelaw/v1/workers.grpc.pb.h"

namespace scalelaw::bench {

class PlayedWorker {
 public:
  PlayedWorker(const std::shared_ptr<grpc::Channel>& channel, const std::string& uid, int slots)
      : stub(v1::Workers::NewStub(channel)), session_(stub->Session(&context_)) {
    v1::WorkerMessage message;
    v1::Hello& hello = *message.mutable_hello();
    hello.set_worker_uid(uid);
    hello.set_name(uid);
    hello.set_host("host");
    hello.set_slots(static_cast<uint32_t>(slots));
    session_->Write(message);
    next();
  }
  ~PlayedWorker() { context_.TryCancel(); }

  /// Blocks; empty when the session is over.
  v1::CoordinatorMessage next() {
    v1::CoordinatorMessage message;
    if (!session_->Read(&message)) message.Clear();
    return message;
  }
  void heartbeat() {
    v1::WorkerMessage message;
    message.mutable_heartbeat();
    session_->Write(message);
  }
  void update(int64_t attempt, v1::AttemptState state, int64_t events_end = 0) {
    v1::WorkerMessage message;
    message.mutable_update()->set_attempt_id(attempt);
    message.mutable_update()->set_state(state);
    message.mutable_update()->set_events_end(events_end);
    session_->Write(message);
  }

  std::unique_ptr<v1::Workers::Stub> stub;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> session_;
};

/// A sweep of so many runs of one stage.
inline grpc::Status submit(const std::shared_ptr<grpc::Channel>& channel, int runs) {
  v1::SubmitSweepRequest request;
  google::protobuf::TextFormat::ParseFromString(
      "name: 'bench' study: 'bench' stages { name: 'only' command: 'true' budget { flops: [1e9] } }",
      request.mutable_spec());
  for (int seed = 1; seed <= runs; ++seed) request.mutable_spec()->mutable_stages(0)->add_seeds(seed);
  grpc::ClientContext context;
  v1::SubmitSweepResponse response;
  return v1::Sweeps::NewStub(channel)->Submit(&context, request, &response);
}

/// For answers that list 100,000 runs.
inline std::shared_ptr<grpc::Channel> connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace scalelaw::bench
