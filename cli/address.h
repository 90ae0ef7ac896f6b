// HOST:PORT.
#pragma once

#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

namespace scalelaw::cli {

struct Address {
  std::string host;
  std::string port;
};

/// `127.0.0.1:7070`, `[::1]:7070`, `host:7070`. INVALID_ARGUMENT otherwise.
absl::StatusOr<Address> parse_address(const std::string& text);

/// Whether something accepts connections there.
bool answers(const Address& address);

/// FAILED_PRECONDITION if something else listens there already, INVALID_ARGUMENT if this machine has no such address.
absl::Status can_listen(const Address& address);

/// Where a client on this machine reaches a server that listens there: `0.0.0.0` is 127.0.0.1 to it.
std::string local_target(const Address& address);

}  // namespace scalelaw::cli
