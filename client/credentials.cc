#include "client/credentials.h"

#include <arpa/inet.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include <absl/strings/ascii.h>
#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/client_interceptor.h>
#include <CLI/CLI.hpp>

namespace scalelaw::client {
namespace {

constexpr const char* kTokenVariable = "SCALELAW_TOKEN";

absl::StatusOr<std::string> read(const char* option, const std::string& file) {
  if (file.empty()) return std::string();
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return absl::InvalidArgumentError(fmt::format("{}: {}: {}", option, file, std::strerror(errno)));
  return text.str();
}

// An interceptor rather than call credentials: those are refused on connections without TLS, also within one machine.
class TokenBearer final : public grpc::experimental::Interceptor {
 public:
  explicit TokenBearer(const std::string& token) : token_(token) {}
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", "Bearer " + token_);
    }
    methods->Proceed();
  }

 private:
  const std::string& token_;
};

class TokenBearers final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenBearers(std::string token) : token_(std::move(token)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo*) override {
    return new TokenBearer(token_);
  }

 private:
  const std::string token_;
};

absl::StatusOr<std::string> read_token(const SecurityOptions& options) {
  std::string token;
  std::string source = fmt::format("${}", kTokenVariable);
  if (!options.token_file.empty()) {
    const auto text = read("--token-file", options.token_file);
    if (!text.ok()) return text.status();
    token = *text;
    source = "--token-file: " + options.token_file;
  } else if (const char* text = std::getenv(kTokenVariable); text != nullptr) {
    token = text;
  } else {
    return token;
  }
  token = std::string(absl::StripAsciiWhitespace(token));
  // Not shown: it may be a secret of another program.
  if (!token.starts_with("scalelaw_") || token.find_first_of(" \t\r\n") != std::string::npos) {
    return absl::InvalidArgumentError(fmt::format("{} holds no token (scalelaw_…)", source));
  }
  return token;
}

}  // namespace

void add_security_options(CLI::App& app, SecurityOptions& options) {
  constexpr const char* kGroup = "Security";
  app.add_option("--token-file", options.token_file,
                 "File with the token that the server asks for; or its text in $SCALELAW_TOKEN")
      ->envname("SCALELAW_TOKEN_FILE")
      ->group(kGroup);
  app.add_option("--tls-ca", options.ca_file, "PEM file of the authority that signed the server's certificate")
      ->envname("SCALELAW_TLS_CA")
      ->group(kGroup);
  app.add_flag("--tls", options.tls, "Use TLS, trusting the authorities of this machine")
      ->envname("SCALELAW_TLS")
      ->group(kGroup);
  app.add_option("--tls-cert", options.certificate_file, "PEM file of our own certificate, if the server asks for one")
      ->envname("SCALELAW_TLS_CERT")
      ->group(kGroup);
  app.add_option("--tls-key", options.key_file, "PEM file of its key")->envname("SCALELAW_TLS_KEY")->group(kGroup);
}

bool is_loopback(const std::string& server) {
  std::string host = server.substr(0, server.rfind(':'));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  in_addr address{};
  return host == "localhost" || host == "::1" ||
         (::inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127);
}

absl::StatusOr<Credentials> load_credentials(const SecurityOptions& options, const std::string& server) {
  Credentials credentials;
  auto token = read_token(options);
  ::unsetenv(kTokenVariable);
  if (!token.ok()) return token.status();
  credentials.token = *std::move(token);
  if (options.certificate_file.empty() != options.key_file.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key belong together");
  }
  if (options.tls || !options.ca_file.empty() || !options.certificate_file.empty()) {
    const auto authorities = read("--tls-ca", options.ca_file);
    if (!authorities.ok()) return authorities.status();
    const auto certificate = read("--tls-cert", options.certificate_file);
    if (!certificate.ok()) return certificate.status();
    const auto key = read("--tls-key", options.key_file);
    if (!key.ok()) return key.status();
    credentials.channel = grpc::SslCredentials({*authorities, *key, *certificate});
  } else if (!credentials.token.empty() && !is_loopback(server)) {
    return absl::InvalidArgumentError(
        fmt::format("the token would travel to {} in the clear; use --tls-ca FILE, or --tls", server));
  }
  return credentials;
}

std::shared_ptr<grpc::Channel> open_channel(const std::string& server, const Credentials& credentials,
                                            const grpc::ChannelArguments& arguments) {
  const auto channel = credentials.channel != nullptr ? credentials.channel : grpc::InsecureChannelCredentials();
  if (credentials.token.empty()) return grpc::CreateCustomChannel(server, channel, arguments);
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<TokenBearers>(credentials.token));
  return grpc::experimental::CreateCustomChannelWithInterceptors(server, channel, arguments, std::move(interceptors));
}

}  // namespace scalelaw::client
