// What every command has at hand: the options that all commands share, the server, and the way to report.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <google/protobuf/message.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "cli/exit.h"
#include "cli/terminal.h"
#include "client/credentials.h"

namespace scalelaw::cli {

inline constexpr const char* kDefaultServer = "127.0.0.1:7070";

struct Session {
  /// From --server, $SCALELAW_SERVER or the default.
  std::string server = kDefaultServer;
  client::SecurityOptions security;
  bool json = false;
  Terminal terminal = standard_output();
  /// Set by the command that ran.
  int exit_code = kOk;

  /// Made at the first call; connecting happens with the first request. Throws CLI::ValidationError for certificates
  /// and tokens that cannot be used.
  const std::shared_ptr<grpc::Channel>& channel();

 private:
  std::shared_ptr<grpc::Channel> channel_;
};

/// How long a request may take.
inline constexpr std::chrono::seconds kShortCall{30};
/// Fits may bootstrap for minutes.
inline constexpr std::chrono::seconds kLongCall{600};

void set_deadline(grpc::ClientContext& context, std::chrono::seconds limit);

/// Prints what went wrong and what to do next to standard error, and gives the exit code for it. An unreachable server:
/// where it was looked for and how to start one.
int report(const Session& session, const grpc::Status& status);
/// The same for what was worked out here, without a server.
int report(const absl::Status& status);
int report_bad_input(const std::string& message);

/// One request, one reply. On failure reports it, sets the session's exit code and returns false:
///     v1::Sweep sweep;
///     if (!call(session, *stub, &v1::Sweeps::Stub::Get, request, sweep)) return;
template <class Stub, class Request, class Reply>
bool call(Session& session, Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
          const Request& request, Reply& reply, std::chrono::seconds limit = kShortCall) {
  grpc::ClientContext context;
  set_deadline(context, limit);
  grpc::Status status = (stub.*method)(&context, request, &reply);
  if (!status.ok()) session.exit_code = report(session, status);
  return status.ok();
}

void print(const std::string& text);
void print_json(const google::protobuf::Message& message);

/// Seconds since 1970.
double now();

}  // namespace scalelaw::cli
