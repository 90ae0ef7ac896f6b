#include "cli/address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>

namespace scalelaw::cli {
namespace {

using Infos = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Infos resolve(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found) != 0) found = nullptr;
  return {found, &freeaddrinfo};
}

class Socket {
 public:
  explicit Socket(const addrinfo& info) : fd_(socket(info.ai_family, info.ai_socktype | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

absl::StatusOr<Address> parse_address(const std::string& text) {
  size_t colon = text.rfind(':');
  Address address{text.substr(0, colon), colon == std::string::npos ? "" : text.substr(colon + 1)};
  if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']')
    address.host = address.host.substr(1, address.host.size() - 2);
  bool digits = !address.port.empty() && address.port.size() <= 5 &&
                address.port.find_first_not_of("0123456789") == std::string::npos;
  if (colon == std::string::npos || address.host.empty() || !digits || std::stoi(address.port) > 65535 ||
      std::stoi(address.port) == 0)
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is no address; write HOST:PORT, such as 127.0.0.1:7070", text));
  return address;
}

bool answers(const Address& address) {
  Infos infos = resolve(address);
  if (infos == nullptr) return false;
  Socket socket(*infos);
  return socket.fd() >= 0 && connect(socket.fd(), infos->ai_addr, infos->ai_addrlen) == 0;
}

absl::Status can_listen(const Address& address) {
  Infos infos = resolve(address);
  if (infos == nullptr) return absl::InvalidArgumentError(fmt::format("{}: unknown host", address.host));
  Socket socket(*infos);
  int yes = 1;
  setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(socket.fd(), infos->ai_addr, infos->ai_addrlen) == 0 && listen(socket.fd(), 1) == 0) return absl::OkStatus();
  if (errno == EADDRINUSE)
    return absl::FailedPreconditionError(
        fmt::format("port {} is in use on {}; is scalelaw up already? (another one: --listen {}:{})", address.port,
                    address.host, address.host, std::stoi(address.port) % 65535 + 1));
  return absl::InvalidArgumentError(
      fmt::format("cannot listen on {}:{}: {}", address.host, address.port, std::strerror(errno)));
}

std::string local_target(const Address& address) {
  std::string host = address.host == "0.0.0.0" ? "127.0.0.1" : address.host == "::" ? "::1" : address.host;
  return fmt::format("{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]", address.port);
}

}  // namespace scalelaw::cli
