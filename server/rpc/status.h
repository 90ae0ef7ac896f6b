// Errors at the edge: absl's codes and gRPC's are the same numbers.
#pragma once

#include <string>

#include <absl/status/status.h>
#include <grpcpp/support/status.h>

namespace scalelaw::server {

inline grpc::Status to_grpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

}  // namespace scalelaw::server
