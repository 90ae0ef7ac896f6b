#include "server/coordinator/coordinator.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>
#include <spdlog/spdlog.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "server/coordinator/catalog.h"
#include "server/coordinator/sessions.h"

namespace scalelaw::server {

namespace {
using std::chrono::milliseconds;

// How often the times at which workers were last heard are stored.
constexpr milliseconds kTouchInterval{5'000};
// How often curves are looked for that have become old.
constexpr milliseconds kThinInterval{600'000};

Instant steady_now() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch());
}
int64_t wall_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// What a batch says of its run's progress.
struct Reported {
  /// Its last metrics.
  v1::TrainerMetrics at;
  /// Lowest and highest finite value of each metric.
  std::map<std::string, std::pair<double, double>> range;
};
std::optional<Reported> reported_by(const v1::RecordBatch& batch) {
  std::optional<Reported> reported;
  for (const v1::Record& record : batch.records()) {
    if (!record.has_metrics()) continue;
    if (!reported.has_value()) reported.emplace();
    reported->at.set_step(record.metrics().step());
    reported->at.set_samples(record.metrics().samples());
    reported->at.set_flops(record.metrics().flops());
    for (const auto& [name, value] : record.metrics().values()) {
      if (!std::isfinite(value)) continue;
      auto& [low, high] = reported->range.try_emplace(name, value, value).first->second;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  return reported;
}

bool ended(v1::AttemptState state) {
  return state != v1::ATTEMPT_STATE_UNSPECIFIED && ended(static_cast<AttemptState>(state));
}
}  // namespace

/// Everything but `post`, `deliver` and `workers` is called on `thread_` only. Callbacks of the store may come after
/// the coordinator is gone: they share the context, which then no longer runs what they post.
class Coordinator::Impl {
 public:
  Impl(Store& store, CoordinatorSettings settings)
      : store_(store),
        settings_(settings),
        context_(std::make_shared<boost::asio::io_context>(1)),
        work_(context_->get_executor()),
        timer_(*context_),
        scheduler_({settings.lease, settings.shares}) {}
  ~Impl() {
    context_->stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status start() {
    absl::StatusOr<StoredSchedule> stored = store_.schedule();
    if (!stored.ok()) return stored.status();
    catalog_.restore(*stored);
    for (size_t i = 0; i < stored->snapshot.attempts.size(); ++i) {
      const Snapshot::Attempt& attempt = stored->snapshot.attempts[i];
      tracked_[attempt.id] = {attempt.worker, stored->offsets[i].events, stored->offsets[i].output, {}};
    }
    for (const KnownWorker& worker : stored->workers) {
      worker_ids_[worker.uid] = worker.id;
      known_workers_[worker.id] = worker;
    }
    Decisions decisions = scheduler_.restore(stored->snapshot, steady_now());
    publish_workers();
    store_and_act(std::move(decisions));
    schedule_tick();
    thread_ = std::thread([this] { context_->run(); });
    return absl::OkStatus();
  }

  void post(std::function<void()> work) { boost::asio::post(*context_, std::move(work)); }

  void submit(v1::SweepSpec spec, Expansion expansion, std::string key, bool dry_run,
              const std::function<void(absl::StatusOr<Submitted>)>& done) {
    if (dry_run) {
      done(Submitted{{}, catalog_.count_reused(expansion, scheduler_)});
      return;
    }
    if (const std::optional<SweepId> known = catalog_.sweep_of_key(key)) {
      // It may still be on its way to the disk.
      store_.barrier([done, id = *known](const absl::Status& status) {
        status.ok() ? done(Submitted{id, 0}) : done(status);
      });
      return;
    }
    if (absl::Status health = store_.health(); !health.ok()) {
      done(health);
      return;
    }
    Submitted submitted;
    submitted.reused = catalog_.count_reused(expansion, scheduler_);
    Catalog::Entry entry = catalog_.enter(std::move(spec), std::move(expansion), std::move(key));
    submitted.sweep = entry.stored.id;
    const auto decisions = std::make_shared<const Decisions>(decide(entry.event));
    const auto act_and_answer = [this, decisions, submitted, done] {
      act(*decisions);
      done(submitted);
    };
    store_.submit(std::move(entry.stored), *decisions,
                  on_commit(act_and_answer, [done](absl::Status status) { done(std::move(status)); }));
    schedule_tick();
  }

  void import(v1::ImportRunsRequest request, const std::function<void(absl::StatusOr<Imported>)>& done) {
    if (absl::Status health = store_.health(); !health.ok()) return done(health);
    ImportedRuns imported = catalog_.enter(std::move(request));
    const Imported answer{imported.sweep,
                          static_cast<int>(std::count(imported.is_new.begin(), imported.is_new.end(), true))};
    store_.import(std::move(imported),
                  [done, answer](const absl::Status& status) { status.ok() ? done(answer) : done(status); });
  }

  void cancel(SweepId sweep, Done done) {
    if (!scheduler_.knows(sweep)) {
      done(absl::NotFoundError(fmt::format("sweep: there is no sweep {}", sweep.value)));
      return;
    }
    if (scheduler_.sweep_state(sweep) != SweepState::kRunning) {
      done(absl::OkStatus());
      return;
    }
    handle(SweepCancelled{sweep}, std::move(done));
  }

  void pause(SweepId sweep, bool let_running_finish, Done done) {
    if (absl::Status status = may_change(sweep); !status.ok()) {
      done(std::move(status));
      return;
    }
    handle(SweepPaused{sweep, "by a person", let_running_finish}, std::move(done));
  }

  void resume(SweepId sweep, std::optional<double> flops, std::optional<double> slot_hours, Done done) {
    if (absl::Status status = may_change(sweep); !status.ok()) {
      done(std::move(status));
      return;
    }
    Limits limits = scheduler_.limits(sweep);
    if (flops.has_value()) limits.flops = *flops;
    if (slot_hours.has_value()) limits.slot_time = slot_time(*slot_hours);
    if (absl::Status status = scheduler_.may_resume(sweep, limits); !status.ok()) {
      done(std::move(status));
      return;
    }
    handle(SweepResumed{sweep, limits}, std::move(done));
  }

  void retry(RunId run, Done done) {
    if (absl::Status status = scheduler_.may_retry(run); !status.ok()) {
      done(std::move(status));
      return;
    }
    handle(RunRetried{run}, std::move(done));
  }

  void open_session(const v1::Hello& hello, const std::shared_ptr<WorkerLink>& link) {
    const WorkerId id = remember_worker(hello);
    sessions_.open(id, link);
    std::vector<AttemptId> held;
    for (const int64_t attempt : hello.attempt_ids()) held.push_back({attempt});
    store_.save_worker(known_workers_.at(id), nullptr);
    const auto decisions =
        std::make_shared<const Decisions>(decide(WorkerJoined{id, known_workers_.at(id).offer, held}));
    // There is nobody to tell about attempts that it no longer knows.
    for (const AttemptChange& change : decisions->attempts) {
      const auto found = tracked_.find(change.attempt);
      if (found != tracked_.end() && found->second.worker == id) tracked_.erase(found);
    }
    store_.apply(*decisions, on_commit([this, id, link, held, decisions] {
      if (sessions_.is_current(id, *link)) welcome(id, held);
      act(*decisions);
    }));
    schedule_tick();
    spdlog::info("worker {} ({}, {} slots) joined", hello.name(), hello.host(), hello.slots());
  }

  void receive(const v1::WorkerMessage& message, const WorkerLink& link) {
    const std::optional<WorkerId> worker = sessions_.worker_of(link);
    if (!worker.has_value()) return;
    known_workers_.at(*worker).last_seen_ms = wall_ms();
    heard_.insert(*worker);
    handle(WorkerHeard{*worker});
    switch (message.message_case()) {
      case v1::WorkerMessage::kHeartbeat:
        fence_strangers(*worker, message.heartbeat());
        break;
      case v1::WorkerMessage::kUpdate:
        receive_update(*worker, message.update());
        break;
      case v1::WorkerMessage::kDraining:
        handle(WorkerDraining{*worker});
        break;
      case v1::WorkerMessage::kHello:
      case v1::WorkerMessage::MESSAGE_NOT_SET:
        break;
    }
  }

  void session_ended(const WorkerLink& link) {
    const std::optional<WorkerId> worker = sessions_.worker_of(link);
    if (!worker.has_value()) return;
    sessions_.close(*worker);
    handle(WorkerLeft{*worker});
    spdlog::info("worker {} left", known_workers_.at(*worker).name);
  }

  void end_sessions(const absl::Status& reason) {
    for (const auto& [id, worker] : scheduler_.workers()) sessions_.end(id, reason);
  }

  void deliver(v1::RecordBatch batch, std::function<void(absl::StatusOr<v1::RecordAck>)> done) {
    std::optional<Reported> reported = reported_by(batch);
    store_.ingest(std::move(batch), [this, reported = std::move(reported), context = context_,
                                     done = std::move(done)](absl::StatusOr<v1::RecordAck> ack) {
      if (ack.ok() && !ack->fenced()) {
        boost::asio::post(*context, [this, reported, ack = *ack] { records_committed(ack, reported); });
      }
      done(std::move(ack));
    });
  }

  std::vector<v1::Worker> list_workers() const {
    std::vector<v1::Worker> list;
    for (const auto& [id, worker] : scheduler_.workers()) list.push_back(show(id));
    return list;
  }

  void drain(const std::string& id_or_name, const std::string& reason,
             std::function<void(absl::StatusOr<v1::Worker>)> done) {
    std::optional<WorkerId> found;
    for (const auto& [id, known] : known_workers_) {
      if (known.name == id_or_name || std::to_string(id.value) == id_or_name) found = id;
    }
    if (!found.has_value()) {
      done(absl::NotFoundError(fmt::format("worker: there is no worker with the id or name \"{}\"", id_or_name)));
      return;
    }
    const Event event = reason.empty() ? Event(WorkerUndrained{*found}) : Event(WorkerDrained{*found, reason});
    handle(event, [this, id = *found, context = context_, done = std::move(done)](const absl::Status& status) {
      boost::asio::post(*context, [this, id, status, done] { status.ok() ? done(show(id)) : done(status); });
    });
  }

  std::shared_ptr<const Workers> workers() const {
    const std::lock_guard lock(published_mutex_);
    return published_;
  }

 private:
  /// What the coordinator knows of an attempt beside the scheduler.
  struct Tracked {
    WorkerId worker;
    /// Bytes of its sources that are committed.
    int64_t events = 0;
    int64_t output = 0;
    /// Its end, as long as records before it are missing.
    std::optional<v1::AttemptUpdate> end;
  };

  v1::Worker show(WorkerId id) const {
    const Scheduler::Worker& worker = scheduler_.workers().at(id);
    const KnownWorker& known = known_workers_.at(id);
    v1::Worker shown;
    shown.set_id(id.value);
    shown.set_name(known.name);
    shown.set_host(known.host);
    shown.set_version(known.version);
    shown.set_state(std::string(name(worker.state)));
    shown.set_reason(worker.drain_reason);
    shown.set_slots(static_cast<uint32_t>(worker.slots));
    shown.set_slots_used(static_cast<uint32_t>(worker.used));
    shown.mutable_labels()->insert(worker.labels.begin(), worker.labels.end());
    shown.set_gpu_model(worker.gpu_model);
    shown.set_gpu_memory_bytes(worker.gpu_memory_bytes);
    *shown.mutable_last_seen() = google::protobuf::util::TimeUtil::MillisecondsToTimestamp(known.last_seen_ms);
    for (const AttemptId attempt : worker.attempts) shown.add_run_ids(scheduler_.attempts().at(attempt).run.value);
    return shown;
  }

  absl::Status may_change(SweepId sweep) const {
    if (!scheduler_.knows(sweep)) {
      return absl::NotFoundError(fmt::format("sweep: there is no sweep {}", sweep.value));
    }
    if (scheduler_.sweep_state(sweep) != SweepState::kRunning) {
      return absl::FailedPreconditionError(
          fmt::format("sweep: sweep {} has ended: it is {}", sweep.value, name(scheduler_.sweep_state(sweep))));
    }
    return absl::OkStatus();
  }

  // --- decide, store, act ---

  Decisions decide(const Event& event) {
    Decisions decisions = scheduler_.handle(event, steady_now());
    if (!decisions.workers.empty()) publish_workers();
    for (const NewAttempt& attempt : decisions.assignments) tracked_[attempt.attempt] = {attempt.worker, 0, 0, {}};
    return decisions;
  }

  void handle(const Event& event, Done done = nullptr) { store_and_act(decide(event), std::move(done)); }

  void store_and_act(Decisions decided, Done done = nullptr) {
    if (decided.empty()) {
      if (done) store_.barrier(std::move(done));
      return;
    }
    const auto decisions = std::make_shared<const Decisions>(std::move(decided));
    const auto act_and_answer = [this, decisions, done] {
      act(*decisions);
      if (done) done(absl::OkStatus());
    };
    store_.apply(*decisions, on_commit(act_and_answer, done));
    schedule_tick();
  }

  /// Brings a commit's outcome to this thread. The scheduler has already decided, so a database that refuses leaves
  /// memory and disk at odds: better to start again from the disk than to go on with that.
  Store::Committed on_commit(std::function<void()> then, Done failed = nullptr) {
    return [context = context_, then = std::move(then), failed = std::move(failed)](const absl::Status& status) {
      if (status.ok()) {
        boost::asio::post(*context, then);
      } else if (status.code() == absl::StatusCode::kUnavailable) {
        if (failed) failed(status);
      } else {
        spdlog::critical("a decision could not be stored, stopping: {}", std::string(status.message()));
        std::abort();
      }
    };
  }

  void act(const Decisions& decisions) {
    for (const AttemptChange& change : decisions.attempts) {
      if (server::ended(change.state)) attempt_over(change);
    }
    for (const WorkerChange& change : decisions.workers) {
      if (change.state == WorkerState::kDraining && !change.drain_reason.empty()) {
        spdlog::warn("worker {} gets nothing more: {}", known_workers_.at(change.worker).name, change.drain_reason);
      }
      if (change.state != WorkerState::kLost) continue;
      spdlog::warn("worker {} is lost: silent for longer than its lease", known_workers_.at(change.worker).name);
      sessions_.end(change.worker, absl::AbortedError("your lease ran out: say hello again"));
    }
    for (const NewAttempt& attempt : decisions.assignments) send_assignment(attempt);
    for (const Stop& stop : decisions.stops) {
      if (scheduler_.live(stop.attempt)) send_stop(stop.worker, stop.attempt, stop.reason, /*fenced=*/false);
    }
  }

  void attempt_over(const AttemptChange& change) {
    const auto found = tracked_.find(change.attempt);
    if (found == tracked_.end()) return;
    if (change.state == AttemptState::kLost) {
      send_stop(found->second.worker, change.attempt, change.reason, /*fenced=*/true);
    } else {
      send_update_ack(found->second.worker, change.attempt);
    }
    tracked_.erase(found);
  }

  void send_assignment(const NewAttempt& attempt) {
    if (!scheduler_.live(attempt.attempt)) return;
    absl::StatusOr<v1::Assignment> assignment = store_.assignment(attempt.attempt);
    if (!assignment.ok()) {
      handle(AttemptEnded{attempt.attempt, AttemptState::kFailed, std::nullopt,
                          std::string(assignment.status().message()),
                          /*permanent=*/true});
      return;
    }
    v1::CoordinatorMessage message;
    *message.mutable_assign() = *std::move(assignment);
    sessions_.send(attempt.worker, std::move(message));
  }

  void send_stop(WorkerId worker, AttemptId attempt, const std::string& reason, bool fenced) {
    v1::CoordinatorMessage message;
    message.mutable_stop()->set_attempt_id(attempt.value);
    message.mutable_stop()->set_reason(reason);
    message.mutable_stop()->set_fenced(fenced);
    sessions_.send(worker, std::move(message));
  }

  void send_update_ack(WorkerId worker, AttemptId attempt) {
    v1::CoordinatorMessage message;
    message.mutable_update_ack()->set_attempt_id(attempt.value);
    sessions_.send(worker, std::move(message));
  }

  // --- workers ---

  WorkerId remember_worker(const v1::Hello& hello) {
    const auto [entry, is_new] = worker_ids_.try_emplace(hello.worker_uid());
    if (is_new) entry->second = WorkerId{static_cast<int32_t>(worker_ids_.size())};
    KnownWorker& known = known_workers_[entry->second];
    known.id = entry->second;
    known.uid = hello.worker_uid();
    known.name = hello.name().empty() ? hello.host() : hello.name();
    known.host = hello.host();
    known.version = hello.version();
    known.offer = {static_cast<int>(hello.slots()),
                   {hello.labels().begin(), hello.labels().end()},
                   hello.gpu_model(),
                   hello.gpu_memory_bytes(),
                   hello.places_gangs()};
    known.last_seen_ms = wall_ms();
    return entry->second;
  }

  void welcome(WorkerId worker, const std::vector<AttemptId>& held) {
    v1::CoordinatorMessage message;
    v1::Welcome& welcome = *message.mutable_welcome();
    welcome.set_worker_id(worker.value);
    welcome.set_lease_seconds(static_cast<double>(settings_.lease.count()) / 1000);
    welcome.set_heartbeat_seconds(static_cast<double>(settings_.heartbeat.count()) / 1000);
    std::vector<AttemptId> recorded;
    for (const AttemptId attempt : held) {
      const auto tracked = tracked_.find(attempt);
      if (scheduler_.live(attempt) && tracked != tracked_.end() && tracked->second.worker == worker) {
        v1::Watermark& watermark = *welcome.add_watermarks();
        watermark.set_attempt_id(attempt.value);
        watermark.set_events_offset(tracked->second.events);
        watermark.set_output_offset(tracked->second.output);
      } else if (end_is_recorded(worker, attempt)) {
        recorded.push_back(attempt);
      } else {
        welcome.add_fenced_attempt_ids(attempt.value);
      }
    }
    sessions_.welcome(worker, std::move(message));
    for (const AttemptId attempt : recorded) send_update_ack(worker, attempt);
  }

  /// It ended as the worker reported it; only the acknowledgement was lost.
  bool end_is_recorded(WorkerId worker, AttemptId id) const {
    const absl::StatusOr<AttemptRecord> record = store_.attempt(id);
    return record.ok() && record->worker == worker && server::ended(record->state) &&
           record->state != AttemptState::kLost;
  }

  /// Attempts that the worker holds but that were given up: it must have missed that.
  void fence_strangers(WorkerId worker, const v1::Heartbeat& heartbeat) {
    for (const int64_t held : heartbeat.attempt_ids()) {
      const AttemptId id{held};
      if (!scheduler_.live(id) && !tracked_.contains(id)) refuse(worker, id);
    }
  }

  void refuse(WorkerId worker, AttemptId id) {
    if (end_is_recorded(worker, id)) {
      send_update_ack(worker, id);
    } else {
      send_stop(worker, id, "this attempt was given up", /*fenced=*/true);
    }
  }

  void receive_update(WorkerId worker, const v1::AttemptUpdate& update) {
    const AttemptId id{update.attempt_id()};
    const auto tracked = tracked_.find(id);
    if (tracked == tracked_.end() || tracked->second.worker != worker) {
      refuse(worker, id);
    } else if (!scheduler_.live(id)) {
      // It has just ended: the answer follows the commit of that.
    } else if (update.state() == v1::ATTEMPT_STATE_RUNNING) {
      handle(AttemptStarted{id});
    } else if (ended(update.state())) {
      tracked->second.end = update;
      end_if_complete(id, tracked->second);
    }
  }

  void records_committed(const v1::RecordAck& ack, const std::optional<Reported>& reported) {
    const AttemptId id{ack.attempt_id()};
    const auto tracked = tracked_.find(id);
    if (tracked == tracked_.end()) return;
    if (reported.has_value() && scheduler_.live(id)) handle(report_of(id, *reported));
    int64_t& offset = ack.source() == v1::RECORD_SOURCE_EVENTS ? tracked->second.events : tracked->second.output;
    offset = std::max(offset, ack.offset());
    end_if_complete(id, tracked->second);
  }

  AttemptReported report_of(AttemptId id, const Reported& reported) const {
    const Scheduler::Run& run = scheduler_.runs().at(scheduler_.attempts().at(id).run);
    AttemptReported report{id, std::isfinite(reported.at.flops()) ? reported.at.flops() : run.flops};
    const double used = run.plan.size.kind == BudgetKind::kFlops     ? report.flops
                        : run.plan.size.kind == BudgetKind::kSamples ? static_cast<double>(reported.at.samples())
                                                                     : static_cast<double>(reported.at.step());
    if (run.plan.size.amount > 0) report.share = used / run.plan.size.amount;
    const auto watched = reported.range.find(scheduler_.early_stopping(run.owner).metric);
    if (watched != reported.range.end()) std::tie(report.lowest, report.highest) = watched->second;
    return report;
  }

  /// An attempt ends once everything that it wrote before is stored: its last metrics are its observation.
  void end_if_complete(AttemptId id, Tracked& tracked) {
    if (!tracked.end.has_value() || tracked.events < tracked.end->events_end() ||
        tracked.output < tracked.end->output_end()) {
      return;
    }
    const v1::AttemptUpdate update = *std::exchange(tracked.end, std::nullopt);
    if (update.has_gpu()) store_.save_gpu_usage(id, update.gpu());
    handle(AttemptEnded{id, static_cast<AttemptState>(update.state()), update.exit_code(), update.reason(),
                        update.permanent(), update.infrastructure()});
  }

  void publish_workers() {
    auto copy = std::make_shared<const Workers>(scheduler_.workers());
    const std::lock_guard lock(published_mutex_);
    published_ = std::move(copy);
  }

  // --- time ---

  void schedule_tick() {
    const Instant now = steady_now();
    Instant at = now + std::min<Instant>(settings_.lease / 4, kTouchInterval);
    if (const std::optional<Instant> due = scheduler_.next_due()) at = std::min(at, *due);
    timer_.expires_after(std::max(milliseconds(1), at - now));
    timer_.async_wait([this](const boost::system::error_code& cancelled) {
      if (cancelled) return;
      handle(Tick{});
      touch_workers();
      thin_curves();
      schedule_tick();
    });
  }

  void touch_workers() {
    if (heard_.empty() || steady_now() - touched_ < kTouchInterval || !store_.health().ok()) return;
    touched_ = steady_now();
    std::vector<std::pair<WorkerId, int64_t>> seen;
    for (const WorkerId id : heard_) seen.emplace_back(id, known_workers_.at(id).last_seen_ms);
    heard_.clear();
    store_.touch_workers(std::move(seen));
  }

  void thin_curves() {
    if (!settings_.thin_after.has_value() || thinning_ || steady_now() < thin_next_ || !store_.health().ok()) return;
    thinning_ = true;
    const int64_t before = wall_ms() - milliseconds(*settings_.thin_after).count();
    store_.thin_curves(before, settings_.curve_points, [this, context = context_](int runs) {
      boost::asio::post(*context, [this, runs] {
        thinning_ = false;
        // There may be more of them; else it is looked at again later.
        if (runs == 0) thin_next_ = steady_now() + kThinInterval;
      });
    });
  }

  Store& store_;
  const CoordinatorSettings settings_;
  const std::shared_ptr<boost::asio::io_context> context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  std::thread thread_;

  Scheduler scheduler_;
  Catalog catalog_;
  Sessions sessions_;
  std::map<std::string, WorkerId> worker_ids_;
  std::map<WorkerId, KnownWorker> known_workers_;
  /// Live attempts, and those whose end is on its way to the disk.
  std::map<AttemptId, Tracked> tracked_;
  std::set<WorkerId> heard_;
  Instant touched_{0};
  bool thinning_ = false;
  Instant thin_next_{0};

  mutable std::mutex published_mutex_;
  std::shared_ptr<const Workers> published_ = std::make_shared<const Workers>();
};

Coordinator::Coordinator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Coordinator::~Coordinator() = default;

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::start(Store& store, CoordinatorSettings settings) {
  auto impl = std::make_unique<Impl>(store, settings);
  if (absl::Status status = impl->start(); !status.ok()) return status;
  return std::unique_ptr<Coordinator>(new Coordinator(std::move(impl)));
}

void Coordinator::submit(v1::SweepSpec spec, Expansion expansion, std::string idempotency_key, bool dry_run,
                         std::function<void(absl::StatusOr<Submitted>)> done) {
  impl_->post([impl = impl_.get(), spec = std::move(spec), expansion = std::move(expansion),
               key = std::move(idempotency_key), dry_run,
               done = std::move(done)] { impl->submit(spec, expansion, key, dry_run, done); });
}
void Coordinator::import(v1::ImportRunsRequest request, std::function<void(absl::StatusOr<Imported>)> done) {
  impl_->post(
      [impl = impl_.get(), request = std::move(request), done = std::move(done)] { impl->import(request, done); });
}
void Coordinator::cancel(SweepId sweep, Done done) {
  impl_->post([impl = impl_.get(), sweep, done = std::move(done)] { impl->cancel(sweep, done); });
}
void Coordinator::pause(SweepId sweep, bool let_running_finish, Done done) {
  impl_->post([impl = impl_.get(), sweep, let_running_finish, done = std::move(done)] {
    impl->pause(sweep, let_running_finish, done);
  });
}
void Coordinator::resume(SweepId sweep, std::optional<double> flops, std::optional<double> slot_hours, Done done) {
  impl_->post([impl = impl_.get(), sweep, flops, slot_hours, done = std::move(done)] {
    impl->resume(sweep, flops, slot_hours, done);
  });
}
void Coordinator::retry(RunId run, Done done) {
  impl_->post([impl = impl_.get(), run, done = std::move(done)] { impl->retry(run, done); });
}
void Coordinator::open_session(v1::Hello hello, std::shared_ptr<WorkerLink> link) {
  impl_->post(
      [impl = impl_.get(), hello = std::move(hello), link = std::move(link)] { impl->open_session(hello, link); });
}
void Coordinator::receive(v1::WorkerMessage message, std::shared_ptr<WorkerLink> link) {
  impl_->post(
      [impl = impl_.get(), message = std::move(message), link = std::move(link)] { impl->receive(message, *link); });
}
void Coordinator::session_ended(std::shared_ptr<WorkerLink> link) {
  impl_->post([impl = impl_.get(), link = std::move(link)] { impl->session_ended(*link); });
}
void Coordinator::deliver(v1::RecordBatch batch, std::function<void(absl::StatusOr<v1::RecordAck>)> done) {
  impl_->deliver(std::move(batch), std::move(done));
}
void Coordinator::end_sessions(absl::Status reason) {
  impl_->post([impl = impl_.get(), reason = std::move(reason)] { impl->end_sessions(reason); });
}
void Coordinator::list_workers(std::function<void(std::vector<v1::Worker>)> done) const {
  impl_->post([impl = impl_.get(), done = std::move(done)] { done(impl->list_workers()); });
}
void Coordinator::drain(std::string worker, std::string reason, std::function<void(absl::StatusOr<v1::Worker>)> done) {
  impl_->post([impl = impl_.get(), worker = std::move(worker), reason = std::move(reason), done = std::move(done)] {
    impl->drain(worker, reason, done);
  });
}
std::shared_ptr<const Coordinator::Workers> Coordinator::workers() const {
  return impl_->workers();
}

}  // namespace scalelaw::server
