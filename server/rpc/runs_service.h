// The Runs service; see runs.proto.
#pragma once

#include "scalelaw/v1/runs.grpc.pb.h"
#include "server/answers/presentation.h"
#include "server/coordinator/coordinator.h"
#include "server/store/store.h"

namespace scalelaw::server {

class RunsService final : public v1::Runs::CallbackService {
 public:
  RunsService(Store& store, Coordinator& coordinator)
      : store_(store), coordinator_(coordinator), presentation_(store, coordinator) {}

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::GetRunRequest* request,
                                v1::Run* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const v1::ListRunsRequest* request,
                                 v1::ListRunsResponse* response) override;
  grpc::ServerUnaryReactor* Metrics(grpc::CallbackServerContext* context, const v1::GetMetricsRequest* request,
                                    v1::GetMetricsResponse* response) override;
  grpc::ServerWriteReactor<v1::LogChunk>* Logs(grpc::CallbackServerContext* context,
                                               const v1::GetLogsRequest* request) override;
  grpc::ServerUnaryReactor* Retry(grpc::CallbackServerContext* context, const v1::RetryRunRequest* request,
                                  v1::Run* response) override;
  grpc::ServerUnaryReactor* Import(grpc::CallbackServerContext* context, const v1::ImportRunsRequest* request,
                                   v1::ImportRunsResponse* response) override;

 private:
  Store& store_;
  Coordinator& coordinator_;
  const Presentation presentation_;
};

}  // namespace scalelaw::server
