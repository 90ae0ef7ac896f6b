/// A coordinator for tests: the real service over real gRPC, with the store of a few maps, and every way to misbehave.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "scalelaw/v1/workers.pb.h"

namespace scalelaw::worker {

class FakeCoordinator {
 public:
  FakeCoordinator();
  ~FakeCoordinator();

  /// `host:port`; the same after each restart.
  const std::string& address() const;
  void start();
  /// Breaks all connections and refuses new ones. What was committed is kept.
  void shutdown();
  /// Breaks all connections; new ones are welcome.
  void cut();

  /// To the connected worker; waits until there is one.
  void assign(const v1::Assignment& assignment);
  void stop(std::int64_t attempt, double grace_seconds, bool fenced = false);
  /// Says so in the next welcome, and to the next batch.
  void fence(std::int64_t attempt);
  /// From now on, commits the n-th batch but breaks the connection instead of acknowledging it.
  void lose_acknowledgement_of_every(int n);
  /// Holds acknowledgements (and commits) back while true.
  void hold(bool held);

  struct Delivered {
    std::vector<v1::Record> records;
    std::int64_t committed = 0;
  };
  Delivered delivered(std::int64_t attempt, v1::RecordSource source) const;
  /// All output of an attempt.
  std::string output(std::int64_t attempt) const;
  /// The newest update of an attempt; state unspecified if there was none.
  v1::AttemptUpdate update(std::int64_t attempt) const;
  bool ended(std::int64_t attempt) const;
  /// The newest hello; empty if there was none.
  v1::Hello hello() const;
  int hellos() const;
  int heartbeats() const;
  bool draining() const;
  /// What must never happen, in words.
  std::vector<std::string> violations() const;

 private:
  class Service;
  std::unique_ptr<Service> service_;
};

}  // namespace scalelaw::worker
