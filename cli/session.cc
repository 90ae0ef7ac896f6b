#include "cli/session.h"

#include <cstdio>

#include <fmt/format.h>
#include <grpcpp/support/channel_arguments.h>
#include <CLI/Error.hpp>

#include "proto/message_json.h"

namespace scalelaw::cli {

const std::shared_ptr<grpc::Channel>& Session::channel() {
  if (channel_ == nullptr) {
    grpc::ChannelArguments arguments;
    // The list of runs of a large sweep is above gRPC's default of 4 MiB.
    arguments.SetMaxReceiveMessageSize(256 << 20);
    // A proxy meant for the web is no way to one's own server.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
    const auto credentials = client::load_credentials(security, server);
    if (!credentials.ok()) throw CLI::ValidationError(std::string(credentials.status().message()));
    channel_ = client::open_channel(server, *credentials, arguments);
  }
  return channel_;
}

void set_deadline(grpc::ClientContext& context, std::chrono::seconds limit) {
  context.set_deadline(std::chrono::system_clock::now() + limit);
}

int report(const Session& session, const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      fmt::print(stderr,
                 "scalelaw: no server answers at {}\n"
                 "  start one here:      scalelaw up --data DIR\n"
                 "  or name another one: --server HOST:PORT, or SCALELAW_SERVER=HOST:PORT in the environment\n",
                 session.server);
      // A certificate that is not trusted looks like nobody at all.
      if (status.error_message().find("handshake") != std::string::npos)
        fmt::print(stderr, "  something listens there: {}\n", status.error_message());
      return kUnreachable;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      fmt::print(stderr, "scalelaw: the server at {} did not answer in time\n", session.server);
      return kUnreachable;
    case grpc::StatusCode::CANCELLED:
      return kInterrupted;
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::ALREADY_EXISTS:
      return report_bad_input(status.error_message());
    case grpc::StatusCode::UNIMPLEMENTED:
      fmt::print(stderr, "scalelaw: the server at {} does not know this request; is it of another version?\n",
                 session.server);
      return kFailed;
    default:
      fmt::print(stderr, "scalelaw: {}\n", status.error_message());
      return kFailed;
  }
}

int report(const absl::Status& status) {
  fmt::print(stderr, "scalelaw: {}\n", std::string(status.message()));
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ? kBadInput : kFailed;
}

int report_bad_input(const std::string& message) {
  fmt::print(stderr, "scalelaw: {}\n", message);
  return kBadInput;
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_json(const google::protobuf::Message& message) {
  print(to_json(message).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace scalelaw::cli
