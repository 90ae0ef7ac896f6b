#include "server/store/store.h"

#include <chrono>
#include <future>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

#include "server/store/backup.h"
#include "server/store/curve_reads.h"
#include "server/store/directory_lock.h"
#include "server/store/imported_runs.h"
#include "server/store/ingest.h"
#include "server/store/law_reads.h"
#include "server/store/migrations.h"
#include "server/store/readers.h"
#include "server/store/retention.h"
#include "server/store/run_reads.h"
#include "server/store/schedule_reads.h"
#include "server/store/state_writes.h"
#include "server/store/usage_reads.h"
#include "server/store/writer.h"

namespace scalelaw::server {

namespace {
// Up to this size a database is checked whole at start; beyond it that would delay a restart by seconds.
constexpr uintmax_t kCheckedWhole = 64 << 20;
// Runs whose curves are thinned in one transaction.
constexpr int kThinnedAtOnce = 10;

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

absl::Status check_integrity(Connection& connection, const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::file_size(file, error) > kCheckedWhole || error) return absl::OkStatus();
  Query check = connection.query("PRAGMA quick_check(1)");
  if (!check.next() || check.text(0) == "ok") return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("{} is corrupt ({}); nothing was changed. Restore a backup, or save what is "
                  "readable with `sqlite3 {} .recover`",
                  file.string(), check.text(0), file.string()));
}

/// DIR/scalelaw.db.schema-N, so that the old program can be gone back to.
absl::Status back_up_before_migration(Connection& connection, const std::filesystem::path& file) {
  const absl::StatusOr<int> version = schema_version(connection, file.string());
  if (!version.ok() || *version == 0 || *version == embedded_migrations().back().version) return version.status();
  std::filesystem::path copy = file;
  copy += fmt::format(".schema-{}", *version);
  const absl::Status status = back_up_database(file, copy);
  // A migration that was interrupted has left it.
  return absl::IsAlreadyExists(status) ? absl::OkStatus() : status;
}

absl::Status prepare_directory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::PermissionDeniedError(fmt::format("{} cannot be made: {}", directory.string(), error.message()));
  }
  return absl::OkStatus();
}
}  // namespace

class Store::Impl {
 public:
  Impl(DirectoryLock directory_lock, const std::filesystem::path& file, std::unique_ptr<Connection> connection)
      : lock(std::move(directory_lock)),
        readers(file),
        writer(std::move(connection), file, [this] { records.forget(); }) {}

  DirectoryLock lock;
  Ingest records;
  Readers readers;
  // Last: its thread ends before what it uses.
  Writer writer;
};

absl::StatusOr<std::unique_ptr<Store>> Store::open(const std::filesystem::path& directory) {
  if (absl::Status status = prepare_directory(directory); !status.ok()) return status;
  absl::StatusOr<DirectoryLock> lock = DirectoryLock::acquire(directory);
  if (!lock.ok()) return lock.status();
  const std::filesystem::path file = database_file(directory);
  try {
    auto connection = std::make_unique<Connection>(file, Connection::Access::kReadWrite);
    connection->script("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
    if (absl::Status status = check_integrity(*connection, file); !status.ok()) return status;
    if (absl::Status status = back_up_before_migration(*connection, file); !status.ok()) return status;
    if (absl::Status status = migrate(*connection, file.string(), embedded_migrations()); !status.ok()) return status;
    // Proves now, not at the first result, that the disk can be written to.
    connection->script("BEGIN IMMEDIATE; UPDATE workers SET state = state WHERE 0; COMMIT;");
    return std::unique_ptr<Store>(new Store(std::make_unique<Impl>(std::move(*lock), file, std::move(connection))));
  } catch (const SQLite::Exception& error) {
    return to_status(error, file);
  }
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;
void Store::close() {
  impl_->writer.stop();
}

void Store::ingest(v1::RecordBatch batch, std::function<void(absl::StatusOr<v1::RecordAck>)> acknowledged) {
  auto ack = std::make_shared<v1::RecordAck>();
  impl_->writer.enqueue(
      [impl = impl_.get(), batch = std::move(batch), ack](Connection& connection) {
        *ack = impl->records.apply(connection, batch);
        return absl::OkStatus();
      },
      [ack, acknowledged = std::move(acknowledged)](const absl::Status& status) {
        if (status.ok()) {
          acknowledged(std::move(*ack));
        } else {
          acknowledged(status);
        }
      });
}

void Store::apply(Decisions decisions, Committed committed) {
  impl_->writer.enqueue(
      [decisions = std::move(decisions), now = now_ms()](Connection& connection) {
        write_decisions(connection, decisions, now);
        return absl::OkStatus();
      },
      std::move(committed));
}

void Store::submit(NewSweep sweep, Decisions decisions, Committed committed) {
  impl_->writer.enqueue(
      [sweep = std::move(sweep), decisions = std::move(decisions), now = now_ms()](Connection& connection) {
        write_sweep(connection, sweep, now);
        write_decisions(connection, decisions, now);
        return absl::OkStatus();
      },
      std::move(committed));
}

void Store::save_gpu_usage(AttemptId attempt, const v1::GpuUsage& usage) {
  impl_->writer.enqueue(
      [attempt, usage](Connection& connection) {
        write_gpu_usage(connection, attempt, usage);
        return absl::OkStatus();
      },
      [](const absl::Status&) {});
}

void Store::import(ImportedRuns imported, Committed committed) {
  impl_->writer.enqueue(
      [imported = std::move(imported), now = now_ms()](Connection& connection) {
        write_imported(connection, imported, now);
        return absl::OkStatus();
      },
      std::move(committed));
}

void Store::save_worker(KnownWorker worker, Committed committed) {
  impl_->writer.enqueue(
      [worker = std::move(worker)](Connection& connection) {
        write_worker(connection, worker);
        return absl::OkStatus();
      },
      std::move(committed));
}

void Store::touch_workers(std::vector<std::pair<WorkerId, int64_t>> seen) {
  impl_->writer.enqueue(
      [seen = std::move(seen)](Connection& connection) {
        for (const auto& [worker, at_ms] : seen) {
          connection.run("UPDATE workers SET last_seen_ms = ?2 WHERE id = ?1", worker.value, at_ms);
        }
        return absl::OkStatus();
      },
      nullptr);
}

void Store::thin_curves(int64_t ended_before_ms, int points, std::function<void(int)> thinned) {
  auto runs = std::make_shared<int>(0);
  impl_->writer.enqueue(
      [=](Connection& connection) {
        *runs = server::thin_curves(connection, ended_before_ms, points, kThinnedAtOnce);
        return absl::OkStatus();
      },
      [runs, thinned = std::move(thinned)](const absl::Status& status) { thinned(status.ok() ? *runs : 0); });
}

void Store::barrier(Committed committed) {
  impl_->writer.enqueue([](Connection&) { return absl::OkStatus(); }, std::move(committed));
}

absl::StatusOr<int32_t> Store::insert_law(StoredLaw law) {
  if (absl::Status status = health(); !status.ok()) return status;
  auto id = std::make_shared<int32_t>(0);
  auto done = std::make_shared<std::promise<absl::Status>>();
  impl_->writer.enqueue(
      [law = std::move(law), id, now = now_ms()](Connection& connection) {
        *id = write_law(connection, law, now);
        return absl::OkStatus();
      },
      [done](absl::Status status) { done->set_value(std::move(status)); });
  absl::Status status = done->get_future().get();
  if (!status.ok()) return status;
  return *id;
}

absl::Status Store::health() const {
  return impl_->writer.health();
}
Backlog Store::backlog() const {
  return impl_->writer.backlog();
}
uint64_t Store::commits() const {
  return impl_->writer.commits();
}

absl::StatusOr<std::vector<v1::Observation>> Store::observations(const std::string& study, const std::string& metric,
                                                                 std::vector<std::string>* metric_names) const {
  return impl_->readers.read([&](Connection& connection) -> absl::StatusOr<std::vector<v1::Observation>> {
    return read_observations(connection, study, metric, metric_names);
  });
}
absl::StatusOr<std::optional<int64_t>> Store::first_started_ms(int32_t run_id) const {
  return impl_->readers.read([&](Connection& connection) { return read_first_started_ms(connection, run_id); });
}
absl::StatusOr<std::vector<std::string>> Store::studies() const {
  return impl_->readers.read(
      [&](Connection& connection) -> absl::StatusOr<std::vector<std::string>> { return read_studies(connection); });
}
absl::StatusOr<std::vector<std::string>> Store::metrics(const std::string& study) const {
  return impl_->readers.read([&](Connection& connection) -> absl::StatusOr<std::vector<std::string>> {
    return read_metrics(connection, study);
  });
}
absl::StatusOr<StoredLaw> Store::law(int32_t id) const {
  return impl_->readers.read([&](Connection& connection) { return read_law(connection, id); });
}
absl::StatusOr<std::vector<StoredLaw>> Store::laws(const std::string& study, const std::string& metric) const {
  return impl_->readers.read([&](Connection& connection) -> absl::StatusOr<std::vector<StoredLaw>> {
    return read_laws(connection, study, metric);
  });
}
absl::StatusOr<v1::Sweep> Store::sweep(const std::string& id_or_name) const {
  return impl_->readers.read([&](Connection& connection) { return read_sweep(connection, id_or_name); });
}
absl::StatusOr<std::vector<v1::Sweep>> Store::sweeps(const std::string& study) const {
  return impl_->readers.read(
      [&](Connection& connection) -> absl::StatusOr<std::vector<v1::Sweep>> { return read_sweeps(connection, study); });
}
absl::StatusOr<v1::SweepSpec> Store::sweep_spec(int32_t sweep_id) const {
  return impl_->readers.read([&](Connection& connection) { return read_sweep_spec(connection, sweep_id); });
}
absl::StatusOr<std::vector<v1::Run>> Store::runs_of_sweep(int32_t sweep_id) const {
  return impl_->readers.read([&](Connection& connection) -> absl::StatusOr<std::vector<v1::Run>> {
    return read_runs_of_sweep(connection, sweep_id);
  });
}
absl::StatusOr<std::vector<v1::Run>> Store::runs_of_study(const std::string& study) const {
  return impl_->readers.read([&](Connection& connection) -> absl::StatusOr<std::vector<v1::Run>> {
    return read_runs_of_study(connection, study);
  });
}
absl::StatusOr<v1::Run> Store::run(int32_t id) const {
  return impl_->readers.read([&](Connection& connection) { return read_run(connection, id); });
}
absl::StatusOr<std::vector<v1::Curve>> Store::curves(int32_t run_id, const std::string& metric) const {
  return impl_->readers.read([&](Connection& connection) { return read_curves(connection, run_id, metric); });
}
absl::StatusOr<std::vector<std::string>> Store::reported_metrics(int32_t sweep_id) const {
  return impl_->readers.read([&](Connection& connection) -> absl::StatusOr<std::vector<std::string>> {
    return read_reported_metrics(connection, sweep_id);
  });
}
absl::StatusOr<ThinnedCurves> Store::thinned_curves(const CurveQuery& query) const {
  return impl_->readers.read([&](Connection& connection) { return read_thinned_curves(connection, query); });
}
absl::StatusOr<std::vector<StoredArtifact>> Store::artifacts(int32_t run_id) const {
  return impl_->readers.read([&](Connection& connection) { return read_artifacts(connection, run_id); });
}
absl::StatusOr<std::vector<StudyUsage>> Store::usage() const {
  return impl_->readers.read([&](Connection& connection) -> absl::StatusOr<std::vector<StudyUsage>> {
    return read_usage(connection, now_ms());
  });
}
absl::StatusOr<Totals> Store::totals() const {
  return impl_->readers.read([&](Connection& connection) -> absl::StatusOr<Totals> { return read_totals(connection); });
}
absl::StatusOr<std::vector<QueuedRuns>> Store::queue() const {
  return impl_->readers.read(
      [&](Connection& connection) -> absl::StatusOr<std::vector<QueuedRuns>> { return read_queue(connection); });
}
absl::StatusOr<std::vector<LogText>> Store::logs(int32_t run_id, int64_t after_id, int64_t max_bytes) const {
  return impl_->readers.read([&](Connection& connection) -> absl::StatusOr<std::vector<LogText>> {
    return read_logs(connection, run_id, after_id, max_bytes);
  });
}
absl::StatusOr<StoredSchedule> Store::schedule() const {
  return impl_->readers.read([&](Connection& connection) { return read_schedule(connection, now_ms()); });
}
absl::StatusOr<AttemptRecord> Store::attempt(AttemptId id) const {
  return impl_->readers.read([&](Connection& connection) { return read_attempt(connection, id); });
}
absl::StatusOr<v1::Assignment> Store::assignment(AttemptId id) const {
  return impl_->readers.read([&](Connection& connection) { return read_assignment(connection, id); });
}

}  // namespace scalelaw::server
