// What stands between the network and the services: TLS, tokens, the audit log. Every call passes here, and only here.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/server_interceptor.h>

#include "server/access/access.h"
#include "server/access/audit.h"

namespace scalelaw::server {

/// PEM texts.
struct TlsIdentity {
  std::string certificate;
  std::string key;
  /// Clients must show a certificate of one of these authorities; empty: they need none.
  std::string client_authorities;
};
/// From files; `client_authorities_file` may be empty. INVALID_ARGUMENT naming the option and what is wrong with its
/// file: missing, no PEM, a key of another certificate.
absl::StatusOr<TlsIdentity> read_tls_identity(const std::string& certificate_file, const std::string& key_file,
                                              const std::string& client_authorities_file);

struct Guard {
  /// Both may be absent (everybody is an admin; nothing is logged) and must outlive the server.
  Access* access = nullptr;
  AuditLog* audit = nullptr;
  std::optional<TlsIdentity> tls;
};

/// Refuses calls that `guard.access` refuses before any of our code sees them. Without TLS, and with tokens, for
/// connections of this machine only: tokens never travel in the clear.
std::shared_ptr<grpc::ServerCredentials> server_credentials(const Guard& guard);

/// Logs the calls that change something when they have ended, sessions when they begin.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> audit_interceptor(AuditLog& audit);

/// Whose call it is, for handlers.
Caller caller_of(const grpc::ServerContextBase& context);

}  // namespace scalelaw::server
