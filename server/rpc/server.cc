#include "server/rpc/server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

namespace scalelaw::server {

namespace {
// A submission of 100,000 explicit runs is some tens of MiB.
constexpr int kMaxMessageBytes = 64 << 20;
// What one connection may have under way; a command line has one, a worker two.
constexpr int kMaxStreamsPerConnection = 100;
constexpr std::chrono::seconds kStopGrace{1};

bool is_loopback(const std::string& host) {
  in_addr address{};
  return host == "localhost" || host == "::1" ||
         (inet_pton(AF_INET, host.c_str(), &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

std::string joined(const std::string& host, int port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

/// gRPC only says that it failed; binding the address ourselves says why.
absl::Status why_not(const ListenAddress& address) {
  const std::string name = joined(address.host, address.port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
      error != 0) {
    return absl::UnavailableError(fmt::format("cannot listen on {}: {}", name, gai_strerror(error)));
  }
  const int descriptor = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool bound = bind(descriptor, found->ai_addr, found->ai_addrlen) == 0 && listen(descriptor, 1) == 0;
  const int error = errno;
  close(descriptor);
  freeaddrinfo(found);
  if (!bound && error == EADDRINUSE) {
    return absl::AlreadyExistsError(fmt::format(
        "cannot listen on {}: the port is in use by another program; choose another with --listen (port 0: any)",
        name));
  }
  return absl::UnavailableError(
      fmt::format("cannot listen on {}: {}", name, bound ? "gRPC could not bind it" : std::strerror(error)));
}
}  // namespace

absl::StatusOr<ListenAddress> parse_listen_address(const std::string& text, const std::string& option) {
  const size_t colon = text.rfind(':');
  ListenAddress address;
  if (colon != std::string::npos) {
    address.host = text.substr(0, colon);
    if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']') {
      address.host = address.host.substr(1, address.host.size() - 2);
    }
  }
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = colon == std::string::npos ? std::from_chars_result{end, std::errc::invalid_argument}
                                                          : std::from_chars(text.data() + colon + 1, end, address.port);
  if (address.host.empty() || error != std::errc() || parsed != end || address.port < 0 || address.port > 65535) {
    return absl::InvalidArgumentError(fmt::format("{}: \"{}\" is not HOST:PORT, as in 127.0.0.1:7070", option, text));
  }
  return address;
}

absl::Status check_exposure(const ListenAddress& address, const Guard& guard, bool insecure) {
  if (is_loopback(address.host)) return absl::OkStatus();
  const bool tokens = guard.access != nullptr && guard.access->asks_for_tokens();
  const std::string beginning = fmt::format("--listen: {} is not a loopback address. ", address.host);
  if (!guard.tls && insecure) {
    if (!tokens) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "--insecure: this server has tokens, and they would travel in the clear; give it --tls-cert and --tls-key");
  }
  if (!guard.tls) {
    return absl::FailedPreconditionError(
        beginning +
        "Without TLS and tokens anybody who reaches the port could run programs on the workers. Give the server a "
        "certificate (--tls-cert, --tls-key) and make tokens (scalelaw-server token create), or listen on 127.0.0.1 "
        "and reach it through `ssh -L`; --insecure serves this network as it is");
  }
  if (!tokens && !insecure && guard.tls->client_authorities.empty()) {
    return absl::FailedPreconditionError(
        beginning +
        "With TLS alone anybody who reaches the port could run programs on the workers. Make tokens "
        "(scalelaw-server token create), or ask clients for certificates (--tls-client-ca)");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::start(const ListenAddress& address,
                                                            const std::vector<grpc::Service*>& services,
                                                            const Guard& guard) {
  static std::once_flag plugins;
  std::call_once(plugins, [] {
    // What matters of gRPC's troubles comes back as a status, in our words.
    gpr_set_log_function([](gpr_log_func_args* entry) { spdlog::debug("gRPC: {}", entry->message); });
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(joined(address.host, address.port), server_credentials(guard), &port);
  // Two servers must not share a port by accident.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A worker that vanished without a word is noticed by its lease; idle workers may ping as often as they like.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  if (guard.audit != nullptr) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
    interceptors.push_back(audit_interceptor(*guard.audit));
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
  }
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return why_not(address);
  return std::unique_ptr<RpcServer>(new RpcServer(std::move(server), joined(address.host, port)));
}

RpcServer::RpcServer(std::unique_ptr<grpc::Server> server, std::string address)
    : server_(std::move(server)), address_(std::move(address)) {}

RpcServer::~RpcServer() {
  stop();
}

void RpcServer::stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
  server_.reset();
}

}  // namespace scalelaw::server
