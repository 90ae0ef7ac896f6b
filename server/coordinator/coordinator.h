// The owner of the schedule: takes events from the API and the workers, lets the scheduler decide, stores the
// decisions, and only then acts on them. All of it on one thread of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "scalelaw/v1/workers.pb.h"
#include "server/expansion/expansion.h"
#include "server/scheduling/scheduler.h"
#include "server/store/store.h"

namespace scalelaw::server {

struct CoordinatorSettings {
  /// A worker that is silent for longer is lost.
  std::chrono::milliseconds lease{30'000};
  /// How often workers report.
  std::chrono::milliseconds heartbeat{5'000};
  /// Weights of owners in the fair share of slots; those not named weigh 1.
  std::map<std::string, double> shares = {};
  /// Curves of runs that ended so long ago are thinned to so many points; unset: kept whole.
  std::optional<std::chrono::hours> thin_after = {};
  int curve_points = 1000;
};

/// The way to one worker's open session. Implementations are thread-safe and never block.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void send(v1::CoordinatorMessage message) = 0;
  /// Ends the session; `reason` tells the worker why.
  virtual void close(absl::Status reason) = 0;
};

/// Thread-safe. Callbacks run on the coordinator's or the store's thread and must not block.
class Coordinator {
 public:
  using Done = std::function<void(absl::Status)>;
  struct Submitted {
    /// Zero for a dry run.
    SweepId sweep;
    /// Runs that were in the study already, and neither failed nor cancelled.
    int reused = 0;
  };
  using Workers = std::map<WorkerId, Scheduler::Worker>;

  /// Continues where the store says that it stopped.
  static absl::StatusOr<std::unique_ptr<Coordinator>> start(Store& store, CoordinatorSettings settings);
  ~Coordinator();

  /// `done` comes after the commit. The same non-empty key gives the same sweep again.
  void submit(v1::SweepSpec spec, Expansion expansion, std::string idempotency_key, bool dry_run,
              std::function<void(absl::StatusOr<Submitted>)> done);
  struct Imported {
    SweepId sweep;
    int added = 0;
  };
  /// Stores runs that were trained elsewhere; see Runs.Import. The request has been checked.
  void import(v1::ImportRunsRequest request, std::function<void(absl::StatusOr<Imported>)> done);
  /// OK for a sweep that has ended already. NOT_FOUND.
  void cancel(SweepId sweep, Done done);
  /// NOT_FOUND; FAILED_PRECONDITION for a sweep that has ended.
  void pause(SweepId sweep, bool let_running_finish, Done done);
  /// The limits that are set replace the sweep's. NOT_FOUND, FAILED_PRECONDITION; see Scheduler::may_resume.
  void resume(SweepId sweep, std::optional<double> flops, std::optional<double> slot_hours, Done done);
  /// NOT_FOUND, FAILED_PRECONDITION; see Scheduler::may_retry.
  void retry(RunId run, Done done);

  /// `hello` must have a uid and at least one slot. An older session of the same worker is closed.
  void open_session(v1::Hello hello, std::shared_ptr<WorkerLink> link);
  void receive(v1::WorkerMessage message, std::shared_ptr<WorkerLink> link);
  void session_ended(std::shared_ptr<WorkerLink> link);
  /// Ends all sessions, as before a stop: workers go on with what they run and come back.
  void end_sessions(absl::Status reason);
  /// Stores records; `done` comes after the commit. See RecordBatch.
  void deliver(v1::RecordBatch batch, std::function<void(absl::StatusOr<v1::RecordAck>)> done);

  void list_workers(std::function<void(std::vector<v1::Worker>)> done) const;
  /// `worker`: an id or a name (the newest of that name). An empty reason ends the draining. NOT_FOUND.
  void drain(std::string worker, std::string reason, std::function<void(absl::StatusOr<v1::Worker>)> done);
  /// The workers as of their last change of state; for estimates and explanations.
  std::shared_ptr<const Workers> workers() const;

 private:
  class Impl;
  explicit Coordinator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace scalelaw::server
