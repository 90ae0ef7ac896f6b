/// How a client of the API, be it the command line or a worker, shows who it is and knows the server.
#pragma once

#include <memory>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

namespace CLI {
class App;
}

namespace scalelaw::client {

/// As the user gives it.
struct SecurityOptions {
  /// PEM files. Any of them, or `tls`, means TLS.
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
  bool tls = false;
  std::string token_file;
};
/// --tls, --tls-ca, --tls-cert, --tls-key, --token-file, and the variables SCALELAW_TLS_… and SCALELAW_TOKEN_FILE.
void add_security_options(CLI::App& app, SecurityOptions& options);

struct Credentials {
  /// Null: no TLS. (Making one starts threads, which a program may want later than this.)
  std::shared_ptr<grpc::ChannelCredentials> channel = {};
  /// Empty: none.
  std::string token = {};
};
/// Reads the files; the token may also be the text of $SCALELAW_TOKEN, which is taken out of the environment then, so
/// that no program started from here inherits it. INVALID_ARGUMENT naming the option and the file that cannot be used,
/// and for a token that would travel in the clear to another machine.
absl::StatusOr<Credentials> load_credentials(const SecurityOptions& options, const std::string& server);

/// `server`: host:port. Each call carries the token.
std::shared_ptr<grpc::Channel> open_channel(const std::string& server, const Credentials& credentials,
                                            const grpc::ChannelArguments& arguments);

/// Whether `host:port` can only be reached from this machine.
bool is_loopback(const std::string& server);

}  // namespace scalelaw::client
