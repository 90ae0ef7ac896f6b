/// One connection to the coordinator: a session stream and a delivery stream. The only place here that knows gRPC.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <absl/status/status.h>

#include "client/credentials.h"
#include "scalelaw/v1/workers.pb.h"

namespace scalelaw::worker {

/// Begins with `hello`; ends, once and for all, when either stream does. A new one is opened to go on: what counts is
/// what the coordinator's welcome says it has, never what was sent before.
class Connection {
 public:
  /// Called from gRPC's threads, one at a time per stream; must not block and must not destroy the connection.
  struct Handlers {
    std::function<void(v1::CoordinatorMessage)> on_message;
    std::function<void(v1::RecordAck)> on_ack;
    /// Exactly once, with the reason; nothing is called after the destructor.
    std::function<void(absl::Status)> on_closed;
  };

  Connection(const std::string& address, const client::Credentials& credentials, const v1::Hello& hello,
             Handlers handlers);
  /// Ends both streams and waits until no handler runs any more.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Queued and sent in order; dropped once the connection has ended. Any thread.
  void send(v1::WorkerMessage message);
  void deliver(v1::RecordBatch batch);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace scalelaw::worker
