// The metrics database: the only place that speaks SQL.
//
// One writer thread commits queued transactions in groups; reads run beside it on their own read-only connections and
// see committed data only. Every callback runs on the writer thread after the COMMIT and must not block.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "scalelaw/v1/laws.pb.h"
#include "scalelaw/v1/sweeps.pb.h"
#include "scalelaw/v1/workers.pb.h"
#include "server/expansion/expansion.h"
#include "server/scheduling/decisions.h"

namespace scalelaw::server {

/// Output kept per attempt; the oldest is dropped.
inline constexpr int64_t kMaxLogBytes = 4 << 20;

/// A law as stored; immutable. `document` is its whole JSON, from which everything else can be shown again.
struct StoredLaw {
  /// Given by `insert_law`.
  int32_t id = 0;
  std::string study;
  std::string metric;
  std::string form;
  std::string formula;
  std::string observations_hash;
  std::string document;
  /// Milliseconds since 1970; 0 in `insert_law` means now.
  int64_t fitted_ms = 0;
};

/// A sweep with what its runs are; `run_ids[i]` belongs to the i-th run of the expansion, stage by stage.
struct NewSweep {
  SweepId id;
  v1::SweepSpec spec;
  std::string idempotency_key;
  Expansion expansion;
  std::vector<RunId> run_ids;
  /// Runs among them that are in the study already.
  std::vector<bool> reused;
};

/// Runs that were trained elsewhere; `run_ids[i]`, `content_keys[i]` and `is_new[i]` belong to the request's i-th run.
struct ImportedRuns {
  SweepId sweep;
  bool new_sweep = false;
  std::string idempotency_key;
  v1::ImportRunsRequest request;
  std::vector<RunId> run_ids;
  std::vector<std::string> content_keys;
  std::vector<bool> is_new;
};

struct KnownWorker {
  WorkerId id;
  std::string uid;
  std::string name;
  std::string host;
  std::string version;
  WorkerState state = WorkerState::kReady;
  Offer offer = {};
  int64_t last_seen_ms = 0;
};

/// What the coordinator rebuilds itself from at start.
struct StoredSchedule {
  /// Which training a run is; in the order of `snapshot.runs`.
  struct Content {
    std::string study;
    std::string key;
  };
  /// How far the sources of an attempt are stored; in the order of `snapshot.attempts`.
  struct Offsets {
    int64_t events = 0;
    int64_t output = 0;
  };
  Snapshot snapshot;
  std::vector<Content> contents;
  std::vector<Offsets> offsets;
  std::map<std::string, SweepId> idempotency_keys;
  std::vector<KnownWorker> workers;
};

/// An attempt by its id, ended or not.
struct AttemptRecord {
  RunId run;
  WorkerId worker;
  AttemptState state;
};

struct LogText {
  /// Key to read on from.
  int64_t id = 0;
  /// 1, 2, … within the run.
  int32_t attempt = 0;
  std::string text;
};

enum class CurveAxis { kStep, kSamples, kFlops };
/// The curves of one metric over a sweep, as a plot wants them.
struct CurveQuery {
  int32_t sweep_id = 0;
  std::string metric;
  CurveAxis axis = CurveAxis::kStep;
  bool log_axis = false;
  /// At most about so many per curve.
  int points = 200;
  /// The part of the axis that is in view; unset: all.
  std::optional<double> from;
  std::optional<double> to;
  /// Empty: all runs of the sweep.
  std::vector<int32_t> run_ids;
};
struct ThinnedCurve {
  int32_t run_id = 0;
  std::vector<double> x;
  std::vector<double> y;
};
struct ThinnedCurves {
  /// The least and the greatest of each stretch of the axis, so that no spike is missed; else points at equal
  /// distances, because there are too many to look at them all.
  bool extrema = false;
  std::vector<ThinnedCurve> curves;
};

/// What the writer has not committed yet.
struct Backlog {
  size_t transactions = 0;
  double oldest_seconds = 0;
};
/// Over all studies.
struct Totals {
  std::map<std::string, int64_t> runs_by_state;
  std::map<std::string, int64_t> attempts_by_state;
  double flops = 0;
};
struct StudyUsage {
  std::string study;
  /// Slots × seconds of all attempts, those that run included.
  double slot_seconds = 0;
  int failed_attempts = 0;
  int lost_attempts = 0;
  int laws = 0;
  /// The sum of the runs' metric `energy_joules`; unset where none reports it.
  std::optional<double> energy_joules;
};
/// Runs of a stage that wait for the same reason.
struct QueuedRuns {
  int32_t sweep_id = 0;
  std::string sweep;
  std::string stage;
  /// `queued` or `waiting`.
  std::string state;
  std::string reason;
  Requirements need;
  int count = 0;
};
struct StoredArtifact {
  std::string name;
  std::string kind;
  /// On the worker's disk.
  std::string path;
  std::string worker;
};

class Store {
 public:
  /// Opens or creates DIR/scalelaw.db and brings its schema up to date.
  ///
  /// Errors, each leaving every file as it was: ALREADY_EXISTS another server holds DIR (its pid is named);
  /// FAILED_PRECONDITION a newer schema, or another program's database; DATA_LOSS not a database, or corrupt;
  /// PERMISSION_DENIED read-only; RESOURCE_EXHAUSTED disk full.
  static absl::StatusOr<std::unique_ptr<Store>> open(const std::filesystem::path& directory);
  ~Store();

  /// Commits what is queued and writes nothing more: what cannot be committed now, and whatever is written later, is
  /// reported as UNAVAILABLE. Reading goes on.
  void close();

  // --- writing; any thread, never blocks; committed in the order of the calls ---

  using Committed = std::function<void(absl::Status)>;

  /// Stores a batch of records exactly once; see RecordBatch. A full disk delays the acknowledgement until there is
  /// space again. INTERNAL if the database refuses the records.
  void ingest(v1::RecordBatch batch, std::function<void(absl::StatusOr<v1::RecordAck>)> acknowledged);
  /// Stores what the scheduler decided, all or nothing.
  void apply(Decisions decisions, Committed committed);
  /// Stores a sweep and what the scheduler decided about it, all or nothing.
  void submit(NewSweep sweep, Decisions decisions, Committed committed);
  void import(ImportedRuns imported, Committed committed);
  void save_worker(KnownWorker worker, Committed committed);
  /// Once per attempt; later ones are ignored.
  void save_gpu_usage(AttemptId attempt, const v1::GpuUsage& usage);
  /// Last seen, milliseconds since 1970.
  void touch_workers(std::vector<std::pair<WorkerId, int64_t>> seen);
  /// Of runs that ended before so many milliseconds since 1970, leaves at most `points` points of each curve, some runs
  /// at a time; `thinned` gets how many.
  void thin_curves(int64_t ended_before_ms, int points, std::function<void(int)> thinned);
  /// Calls back when everything queued before it is committed.
  void barrier(Committed committed);
  /// Blocks until committed; the law's id. Never on the writer thread.
  absl::StatusOr<int32_t> insert_law(StoredLaw law);

  /// OK, or why nothing can be committed at present: RESOURCE_EXHAUSTED disk full, UNAVAILABLE I/O errors. The writer
  /// keeps trying and loses nothing.
  absl::Status health() const;
  Backlog backlog() const;
  /// Grows with every commit: cheap to ask whether anything may have changed.
  uint64_t commits() const;

  // --- reading; any thread; errors: NOT_FOUND naming what was asked for, otherwise those of the database ---

  /// One per succeeded run of the study that has the metric, held-out runs included, by run id. Empty metric: all
  /// metrics, in which case `metric_names` (if given) receives the name for each row.
  absl::StatusOr<std::vector<v1::Observation>> observations(const std::string& study, const std::string& metric,
                                                            std::vector<std::string>* metric_names = nullptr) const;
  /// Milliseconds since 1970 at which the run's first attempt was assigned; unset if it never was.
  absl::StatusOr<std::optional<int64_t>> first_started_ms(int32_t run_id) const;
  absl::StatusOr<std::vector<std::string>> studies() const;
  /// Metrics of the study's succeeded runs.
  absl::StatusOr<std::vector<std::string>> metrics(const std::string& study) const;
  absl::StatusOr<StoredLaw> law(int32_t id) const;
  /// Newest first. Empty study: all; empty metric: all.
  absl::StatusOr<std::vector<StoredLaw>> laws(const std::string& study, const std::string& metric = "") const;

  /// `sweep`: an id or a name (the newest of that name). `seconds_left` stays unset.
  absl::StatusOr<v1::Sweep> sweep(const std::string& id_or_name) const;
  absl::StatusOr<std::vector<v1::Sweep>> sweeps(const std::string& study) const;
  /// As it was submitted.
  absl::StatusOr<v1::SweepSpec> sweep_spec(int32_t sweep_id) const;
  absl::StatusOr<std::vector<v1::Run>> runs_of_sweep(int32_t sweep_id) const;
  absl::StatusOr<std::vector<v1::Run>> runs_of_study(const std::string& study) const;
  absl::StatusOr<v1::Run> run(int32_t id) const;
  /// Empty metric: all curves of the run.
  absl::StatusOr<std::vector<v1::Curve>> curves(int32_t run_id, const std::string& metric) const;
  /// Metrics that any run of the sweep has reported so far, by name.
  absl::StatusOr<std::vector<std::string>> reported_metrics(int32_t sweep_id) const;
  absl::StatusOr<ThinnedCurves> thinned_curves(const CurveQuery& query) const;
  /// By name.
  absl::StatusOr<std::vector<StoredArtifact>> artifacts(int32_t run_id) const;
  /// Of every study, by name.
  absl::StatusOr<std::vector<StudyUsage>> usage() const;
  absl::StatusOr<Totals> totals() const;
  /// What is queued or waits, by sweep.
  absl::StatusOr<std::vector<QueuedRuns>> queue() const;
  /// Chunks after `after_id`, oldest first, at most `max_bytes` of text (at least one chunk).
  absl::StatusOr<std::vector<LogText>> logs(int32_t run_id, int64_t after_id, int64_t max_bytes) const;

  absl::StatusOr<StoredSchedule> schedule() const;
  absl::StatusOr<AttemptRecord> attempt(AttemptId id) const;
  /// The assignment message of an attempt, its inputs resolved to paths: for each artifact the run of the needed stage
  /// that made it, the first by number. FAILED_PRECONDITION naming the artifact that no run made.
  absl::StatusOr<v1::Assignment> assignment(AttemptId id) const;

 private:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace scalelaw::server
