// The Workers service; see workers.proto.
#pragma once

#include "scalelaw/v1/workers.grpc.pb.h"
#include "server/coordinator/coordinator.h"

namespace scalelaw::server {

class WorkersService final : public v1::Workers::CallbackService {
 public:
  explicit WorkersService(Coordinator& coordinator) : coordinator_(coordinator) {}

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* Session(
      grpc::CallbackServerContext* context) override;
  grpc::ServerBidiReactor<v1::RecordBatch, v1::RecordAck>* Deliver(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const v1::ListWorkersRequest* request,
                                 v1::ListWorkersResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context, const v1::DrainWorkerRequest* request,
                                  v1::Worker* response) override;
  grpc::ServerUnaryReactor* Undrain(grpc::CallbackServerContext* context, const v1::UndrainWorkerRequest* request,
                                    v1::Worker* response) override;

 private:
  Coordinator& coordinator_;
};

}  // namespace scalelaw::server
