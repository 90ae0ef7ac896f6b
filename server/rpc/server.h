// The gRPC server: all services on one address.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "server/rpc/guard.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace scalelaw::server {

struct ListenAddress {
  std::string host;
  /// 0: any free port.
  int port = 0;
};

/// `HOST:PORT`, `[::1]:PORT`. INVALID_ARGUMENT naming the option for anything else.
absl::StatusOr<ListenAddress> parse_listen_address(const std::string& text, const std::string& option = "--listen");

/// Whether this address may be served so. Loopback always; others only with TLS, and where clients show who they are by
/// tokens or certificates, or where the user insists. FAILED_PRECONDITION says what is missing.
absl::Status check_exposure(const ListenAddress& address, const Guard& guard, bool insecure = false);

class RpcServer {
 public:
  /// Serves `services` (which must outlive it) with the standard health service and reflection, behind `guard`.
  /// ALREADY_EXISTS if the port is in use; UNAVAILABLE for other reasons why the address cannot be had.
  static absl::StatusOr<std::unique_ptr<RpcServer>> start(const ListenAddress& address,
                                                          const std::vector<grpc::Service*>& services,
                                                          const Guard& guard = {});
  ~RpcServer();

  /// `HOST:PORT` with the port that was bound.
  const std::string& address() const { return address_; }
  /// Refuses new calls, gives those under way a second, cancels the rest, and waits until all are over.
  void stop();

 private:
  RpcServer(std::unique_ptr<grpc::Server> server, std::string address);
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace scalelaw::server
