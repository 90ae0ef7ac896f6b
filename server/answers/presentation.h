// Sweeps and runs as the API shows them: what is stored, with explanations and estimates.
#pragma once

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "scalelaw/v1/sweeps.pb.h"
#include "scalelaw/v1/workers.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/store/store.h"

namespace scalelaw::server {

class Presentation {
 public:
  Presentation(const Store& store, const Coordinator& coordinator) : store_(store), coordinator_(coordinator) {}

  /// The sweep with its time left, and its runs. `id_or_name` as in GetSweepRequest; NOT_FOUND.
  absl::StatusOr<v1::SweepSnapshot> snapshot(const std::string& id_or_name) const;
  /// Sweeps with their time left, by id. Empty study: of all.
  absl::StatusOr<std::vector<v1::Sweep>> sweeps(const std::string& study) const;
  /// Blocks until the coordinator's thread has told; never on that thread.
  std::vector<v1::Worker> workers() const;
  /// Why these do not start: what was stored, or that no worker could take them; empty where they wait for a free slot.
  std::string why_not_yet(const QueuedRuns& runs) const;
  /// Adds the time left, and why a queued run does not start.
  void explain(v1::Run& run) const;

 private:
  const Store& store_;
  const Coordinator& coordinator_;
};

/// What a submission of this expansion would make: the sweep's counts and plan, and its runs without ids.
v1::SweepSnapshot preview(const Expansion& expansion);

}  // namespace scalelaw::server
