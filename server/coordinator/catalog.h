// Which trainings exist, and the ids of new ones.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "server/expansion/expansion.h"
#include "server/scheduling/scheduler.h"
#include "server/store/store.h"

namespace scalelaw::server {

/// Knows every run of every study by its content key, so that a training that exists is linked and not run again.
class Catalog {
 public:
  void restore(const StoredSchedule& stored);

  /// The sweep that was submitted with this key; unset for an empty key.
  std::optional<SweepId> sweep_of_key(const std::string& idempotency_key) const;
  /// Runs of the expansion that their study holds and that have neither failed nor been cancelled or skipped.
  int count_reused(const Expansion& expansion, const Scheduler& scheduler) const;

  struct Entry {
    NewSweep stored;
    SweepSubmitted event;
  };
  /// Gives ids to the sweep and to its new runs.
  Entry enter(v1::SweepSpec spec, Expansion expansion, std::string idempotency_key);
  /// The same for runs that were trained elsewhere; those that were imported before keep theirs.
  ImportedRuns enter(v1::ImportRunsRequest request);

 private:
  using Content = std::pair<std::string, std::string>;
  std::map<Content, RunId> runs_;
  std::map<std::string, SweepId> keys_;
  SweepId last_sweep_;
  RunId last_run_;
};

}  // namespace scalelaw::server
