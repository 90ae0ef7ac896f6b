// The HTTP server: the dashboard's page, its JSON, news of changes, and metrics for Prometheus.
//
//   /             the page, and its views under /sweeps/…, /laws/…
//   /api/…        see api.h
//   /api/events   server-sent events: `changed` whenever something was committed, at most twice a second
//   /metrics      see metrics.h
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <absl/status/statusor.h>

#include "server/http/answer.h"
#include "server/http/target.h"
#include "server/rpc/server.h"

namespace scalelaw::server {

/// Where `--http` says that the dashboard is served: nowhere for `off`; by default on this machine, ten ports above
/// `--listen`, or on any free port where that is on any. INVALID_ARGUMENT for what is no address, and for addresses
/// other than loopback: whoever reaches the dashboard can read all metrics and logs.
absl::StatusOr<std::optional<ListenAddress>> parse_http_address(const std::string& text, const ListenAddress& listen);

/// Who answers. All are called from several threads.
struct HttpHandlers {
  /// Targets under `/api`, `/metrics` and the page; may block.
  std::function<HttpAnswer(const Target&)> answer;
  /// Whether the answer may take seconds: such ones wait for each other and not for the quick ones.
  std::function<bool(const Target&)> slow;
  /// Grows with every change; cheap.
  std::function<uint64_t()> changes;
};

/// GET and HEAD only. Requests must name this server by a loopback name or the address it listens on (`Host`), so that
/// no page from elsewhere can read it through a name that it points here.
class HttpServer {
 public:
  /// ALREADY_EXISTS if the port is in use, naming --http; UNAVAILABLE for other reasons why the address cannot be had.
  static absl::StatusOr<std::unique_ptr<HttpServer>> start(const ListenAddress& address, HttpHandlers handlers);
  ~HttpServer();

  /// `HOST:PORT` with the port that was bound.
  const std::string& address() const;
  /// Closes all connections; waits for answers that are being computed.
  void stop();

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace scalelaw::server
