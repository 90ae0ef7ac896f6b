// The Sweeps service; see sweeps.proto.
#pragma once

#include <functional>
#include <string>

#include "scalelaw/v1/sweeps.grpc.pb.h"
#include "server/answers/presentation.h"
#include "server/coordinator/coordinator.h"
#include "server/store/store.h"

namespace scalelaw::server {

class SweepsService final : public v1::Sweeps::CallbackService {
 public:
  SweepsService(Store& store, Coordinator& coordinator)
      : store_(store), coordinator_(coordinator), presentation_(store, coordinator) {}

  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context, const v1::SubmitSweepRequest* request,
                                   v1::SubmitSweepResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::GetSweepRequest* request,
                                v1::Sweep* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const v1::ListSweepsRequest* request,
                                 v1::ListSweepsResponse* response) override;
  grpc::ServerWriteReactor<v1::SweepSnapshot>* Watch(grpc::CallbackServerContext* context,
                                                     const v1::WatchSweepRequest* request) override;
  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* context, const v1::CancelSweepRequest* request,
                                   v1::Sweep* response) override;
  grpc::ServerUnaryReactor* Pause(grpc::CallbackServerContext* context, const v1::PauseSweepRequest* request,
                                  v1::Sweep* response) override;
  grpc::ServerUnaryReactor* Resume(grpc::CallbackServerContext* context, const v1::ResumeSweepRequest* request,
                                   v1::Sweep* response) override;

 private:
  /// Finds the sweep, has it changed, and answers with what it then is.
  grpc::ServerUnaryReactor* change(grpc::CallbackServerContext* context, const std::string& sweep, v1::Sweep* response,
                                   const std::function<void(SweepId, Coordinator::Done)>& how);

  Store& store_;
  Coordinator& coordinator_;
  const Presentation presentation_;
};

}  // namespace scalelaw::server
