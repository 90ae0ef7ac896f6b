#include "worker/worker.h"

#include <algorithm>
#include <random>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "worker/executor/lease.h"
#include "worker/machine.h"

namespace scalelaw::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Files are looked at when they change, but not more often than this, and at least this often (a watch may be lost).
constexpr auto kLookApart = 20ms;
constexpr auto kPoll = 1s;
constexpr auto kHeldBack = 100ms;
constexpr auto kKeepDone = 10min;
constexpr auto kKillDelivery = 2s;
constexpr const char* kBuiltInTrainer = "scalelaw-train";
constexpr const char* kAdapter = "scalelaw-adapt";

milliseconds as_milliseconds(double seconds) {
  return milliseconds(static_cast<milliseconds::rep>(seconds * 1000));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::open(WorkerOptions options, std::unique_ptr<Executor> executor) {
  auto work_dir = WorkDir::open(options.work_dir);
  if (!work_dir.ok()) return work_dir.status();
  std::unique_ptr<Worker> worker(new Worker(std::move(options), *std::move(work_dir), std::move(executor)));
  // Before anything else: supervisors of an earlier worker are waiting for it.
  if (const absl::Status lease = write_lease(worker->work_dir_.lease(), Clock::now() + worker->options_.orphan_lease);
      !lease.ok()) {
    return lease;
  }
  worker->work_dir_.remove_done(0s);
  worker->take_up_attempts();
  return worker;
}

Worker::Worker(WorkerOptions options, WorkDir work_dir, std::unique_ptr<Executor> executor)
    : options_(std::move(options)),
      work_dir_(std::move(work_dir)),
      executor_(std::move(executor)),
      offer_(executor_->offer()),
      host_(host_name()),
      backoff_(options_.first_retry, options_.longest_retry, std::random_device{}()) {
  if (options_.name.empty()) options_.name = host_;
  // What the user says counts.
  options_.labels.merge(offer_.labels);
}

Worker::~Worker() {
  connection_.reset();
  if (watched_.is_open()) watched_.release();  // The watcher's.
}

absl::Status Worker::run() {
  spdlog::info("{}: {} slots of {}, work in {}", options_.name, offer_.slots, offer_.slot, work_dir_.path().string());
  if (watcher_.descriptor() >= 0) watched_.assign(watcher_.descriptor());
  if (options_.connect_timeout) {
    give_up_timer_.after(*options_.connect_timeout, [this] {
      if (ever_welcomed_) return;
      finish(absl::UnavailableError(fmt::format("no coordinator at {} within {} s", options_.server,
                                                std::chrono::duration<double>(*options_.connect_timeout).count())));
    });
  }
  watch();
  poll();
  renew_lease();
  connect();
  loop_.run();
  connection_.reset();
  return result_;
}

void Worker::drain() {
  boost::asio::post(loop_, [this] {
    if (draining_) return;
    draining_ = true;
    spdlog::info("draining: {} trainers get {} s to save a checkpoint", attempts_.size(),
                 options_.grace.count() / 1000);
    if (welcomed_) {
      v1::WorkerMessage message;
      message.mutable_draining();
      connection_->send(std::move(message));
    }
    for (auto& [id, attempt] : attempts_) {
      request_stop(attempt, {StopRequest::Cause::kDrain, "its worker was told to stop"}, options_.grace);
    }
    finish_if_drained();
  });
}

void Worker::kill() {
  boost::asio::post(loop_, [this] {
    draining_ = killing_ = true;
    drain_timer_.cancel();  // From here on it waits less.
    spdlog::warn("killing {} trainers", attempts_.size());
    for (auto& [id, attempt] : attempts_) {
      request_stop(attempt, {StopRequest::Cause::kDrain, "its worker was told to kill it"}, 0ms);
    }
    finish_if_drained();
  });
}

void Worker::halt() {
  boost::asio::post(loop_, [this] { finish(absl::OkStatus()); });
}

void Worker::finish(absl::Status result) {
  result_ = std::move(result);
  loop_.stop();
}

void Worker::finish_if_drained() {
  if (!draining_) return;
  const absl::Status result = killing_ ? absl::CancelledError("killed") : absl::OkStatus();
  if (attempts_.empty()) return finish(result);
  const bool any_alive =
      std::any_of(attempts_.begin(), attempts_.end(), [](const auto& entry) { return entry.second.alive(); });
  if (any_alive || drain_timer_.armed()) return;
  drain_timer_.after(killing_ ? milliseconds(kKillDelivery) : options_.drain_delivery, [this, result] {
    spdlog::warn(
        "the coordinator has not acknowledged everything: {} attempts are kept in {} and delivered at the next "
        "start",
        attempts_.size(), work_dir_.path().string());
    finish(result);
  });
}

// ---- The loop: look at files and processes, deliver what is new.

void Worker::watch() {
  if (!watched_.is_open()) return;
  watched_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) look_soon();
  });
}

// A trainer that writes without pause is looked at no more often than others.
void Worker::look_soon() {
  const auto wait = std::max(0ms, std::chrono::ceil<milliseconds>(last_look_ + kLookApart - Clock::now()));
  look_timer_.after(wait, [this] {
    watcher_.clear();
    look();
    watch();
  });
}

void Worker::poll() {
  pass_on_stops();
  look();
  poll_timer_.after(kPoll, [this] { poll(); });
}

void Worker::look() {
  last_look_ = Clock::now();
  std::vector<AttemptId> over;
  for (auto& [id, attempt] : attempts_) {
    if (!attempt.alive() || !attempt.observe(executor_->observe(attempt.dir()))) continue;
    if (attempt.fenced() && !attempt.alive()) over.push_back(id);
    if (auto update = attempt.current_update()) send(*std::move(update));
  }
  for (const AttemptId id : over) forget(id);
  deliver();
  finish_if_drained();
}

// One batch per source and turn, so that all attempts get theirs.
void Worker::deliver() {
  if (!welcomed_ || delivering_) return;
  const auto now = Clock::now();
  bool progress = false;
  bool held_back = false;
  for (auto& [id, attempt] : attempts_) {
    for (v1::RecordBatch& batch : attempt.next_batches(now)) {
      connection_->deliver(std::move(batch));
      progress = true;
    }
    held_back = held_back || attempt.held_back();
    if (auto update = attempt.take_final_update()) send(*std::move(update));
  }
  if (progress) {
    delivering_ = true;
    boost::asio::post(loop_, [this] {
      delivering_ = false;
      deliver();
    });
  } else if (held_back) {
    deliver_timer_.after(kHeldBack, [this] { deliver(); });
  }
}

void Worker::renew_lease() {
  if (const absl::Status written = write_lease(work_dir_.lease(), Clock::now() + options_.orphan_lease);
      !written.ok()) {
    spdlog::error("the lease of the trainers is not renewed: {}", std::string(written.message()));
  }
  work_dir_.remove_done(kKeepDone);
  lease_timer_.after(options_.orphan_lease / 4, [this] { renew_lease(); });
}

// ---- Attempts.

void Worker::take_up_attempts() {
  for (const AttemptDir& dir : work_dir_.attempts()) {
    const auto text = read_file(dir.launch());
    auto launch = text.ok() ? launch_from_json(*text) : text.status();
    if (!launch.ok()) {
      spdlog::error("{} is given up: {}", dir.path.string(), std::string(launch.status().message()));
      work_dir_.done(dir);
      continue;
    }
    std::optional<StopRequest> stop;
    if (const auto file = read_file(dir.stop()); file.ok()) {
      if (auto parsed = stop_from_json(*file); parsed.ok()) stop = *std::move(parsed);
    }
    const AttemptId id = launch->attempt;
    spdlog::info("taking up attempt {} of run {}", raw(id), raw(launch->run));
    watcher_.watch(dir.path);
    attempts_.emplace(id, Attempt(dir, *std::move(launch), std::move(stop)));
  }
}

void Worker::assign(const v1::Assignment& assignment) {
  const AttemptId id{assignment.attempt_id()};
  if (const auto held = attempts_.find(id); held != attempts_.end()) {
    if (auto update = held->second.current_update()) send(*std::move(update));
    return;
  }
  Launch launch = plan(assignment);
  const AttemptDir dir = work_dir_.attempt(id);
  const auto reject = [&](Exit exit, std::optional<StopRequest> stop = {}) {
    spdlog::error("attempt {} of run {} is not started: {}", raw(id), raw(launch.run), exit.error);
    attempts_.emplace(id, Attempt::rejected(dir, launch, std::move(exit), std::move(stop)));
    deliver();
  };
  if (draining_) {
    return reject({.code = 1, .error = "the worker drains"}, StopRequest{StopRequest::Cause::kDrain, ""});
  }
  if (launch.argv.empty()) {
    return reject({.code = 127, .error = "the assignment has no command", .cause = Exit::Cause::kPermanent});
  }
  if (!is_allowed(assignment)) {
    return reject({.code = 126,
                   .error = fmt::format("worker {} does not allow the command {:.200}; it runs what its option "
                                        "--allow-command names, and the built-in trainers",
                                        options_.name, fmt::format("{}", launch.argv)),
                   .cause = Exit::Cause::kPermanent});
  }

  absl::Status status = work_dir_.prepare(assignment, launch);
  if (status.ok()) {
    watcher_.watch(dir.path);
    status = executor_->start(dir);
    if (!status.ok()) work_dir_.done(dir);
  }
  if (!status.ok()) {
    return reject({.code = 1,
                   .error = fmt::format("worker {}: {}", options_.name, std::string(status.message())),
                   .cause = Exit::Cause::kInfrastructure});
  }
  spdlog::info("attempt {} of run {} ({} {}) starts", raw(id), raw(launch.run), assignment.study(), assignment.stage());
  attempts_.emplace(id, Attempt(dir, std::move(launch), {}));
}

bool Worker::is_allowed(const v1::Assignment& assignment) const {
  std::vector<std::string> argv(assignment.command().begin(), assignment.command().end());
  // What the adapter runs is what must be allowed.
  if (argv[0] == kAdapter) {
    const auto mark = std::find(argv.begin(), argv.end(), "--");
    argv.erase(argv.begin(), mark == argv.end() ? mark : mark + 1);
  }
  if (!options_.allowed_commands) return true;
  return !argv.empty() && (argv[0] == kBuiltInTrainer || allows(*options_.allowed_commands, argv));
}

Launch Worker::plan(const v1::Assignment& assignment) const {
  Launch launch;
  launch.attempt = AttemptId{assignment.attempt_id()};
  launch.run = RunId{assignment.run_id()};
  launch.attempt_number = assignment.attempt_number();
  launch.run_fingerprint = run_fingerprint(assignment);
  launch.argv.assign(assignment.command().begin(), assignment.command().end());
  if (!launch.argv.empty() && (launch.argv[0] == kBuiltInTrainer || launch.argv[0] == kAdapter)) {
    launch.argv[0] = (options_.program.parent_path() / launch.argv[0]).string();
  }
  launch.run_directory = work_dir_.run_directory(launch.run);
  launch.checkpoints = options_.checkpoints.empty() ? launch.run_directory / "checkpoints"
                                                    : options_.checkpoints / checkpoints_name(assignment);
  launch.slots = choose_slots(static_cast<int>(std::max(1u, assignment.slots())));
  launch.limits = options_.limits;
  launch.grace_seconds = std::chrono::duration<double>(options_.grace).count();

  const AttemptDir dir = work_dir_.attempt(launch.attempt);
  launch.environment = executor_->environment(launch.slots);
  if (assignment.has_gang()) {
    launch.environment.merge(gang_environment(assignment.gang(), assignment.gang_size(), launch.slots.size()));
  } else {
    launch.nodes = static_cast<int>(std::max(1u, assignment.gang_size()));
  }
  launch.environment["SCALELAW_SPEC"] = dir.spec();
  launch.environment["SCALELAW_EVENTS"] = dir.events();
  launch.environment["SCALELAW_CHECKPOINT_DIR"] = launch.checkpoints;
  return launch;
}

// The least used ones: a fenced attempt may still be dying on its slot when the next is assigned.
std::vector<int> Worker::choose_slots(int wanted) const {
  std::vector<std::pair<int, int>> used_and_slot;
  for (int slot = 0; slot < offer_.slots; ++slot) used_and_slot.emplace_back(0, slot);
  for (const auto& [id, attempt] : attempts_) {
    if (!attempt.alive()) continue;
    for (const int slot : attempt.launch().slots) {
      if (slot < offer_.slots) ++used_and_slot[static_cast<std::size_t>(slot)].first;
    }
  }
  std::sort(used_and_slot.begin(), used_and_slot.end());
  std::vector<int> slots;
  for (int i = 0; i < std::min(wanted, offer_.slots); ++i) {
    slots.push_back(used_and_slot[static_cast<std::size_t>(i)].second);
  }
  std::sort(slots.begin(), slots.end());
  return slots;
}

void Worker::stop_attempt(const v1::StopAttempt& stop) {
  const AttemptId id{stop.attempt_id()};
  if (stop.fenced()) return fence(id);
  const auto found = attempts_.find(id);
  if (found == attempts_.end()) {
    v1::AttemptUpdate update;
    update.set_attempt_id(raw(id));
    update.set_state(v1::ATTEMPT_STATE_LOST);
    update.set_reason("the worker does not know this attempt");
    return send(std::move(update));
  }
  spdlog::info("stopping attempt {}: {}", raw(id), stop.reason());
  const milliseconds grace = stop.grace_seconds() > 0 ? as_milliseconds(stop.grace_seconds()) : options_.grace;
  request_stop(found->second, {StopRequest::Cause::kCoordinator, stop.reason()}, grace);
}

void Worker::fence(AttemptId id) {
  const auto found = attempts_.find(id);
  if (found == attempts_.end()) return;
  Attempt& attempt = found->second;
  if (!attempt.fenced()) {
    spdlog::warn("attempt {} is fenced: killed, nothing more of it is delivered", raw(id));
    if (attempt.alive() || !attempt.delivered()) work_dir_.begin_again(attempt.launch().run);
  }
  attempt.fence();
  if (!attempt.alive()) return forget(id);
  request_stop(attempt, {StopRequest::Cause::kCoordinator, "fenced"}, 0ms);
}

void Worker::request_stop(Attempt& attempt, StopRequest stop, milliseconds grace) {
  if (!attempt.alive()) return;
  attempt.request_stop(std::move(stop));
  // So that a later worker calls its end by the right name; on a full disk it will not.
  (void)write_file(attempt.dir().stop(), to_json(*attempt.stop()));
  const auto deadline = Clock::now() + grace;
  const auto [entry, added] = stops_.emplace(attempt.id(), deadline);
  if (!added) entry->second = std::min(entry->second, deadline);
  pass_on_stops();
}

void Worker::pass_on_stops() {
  std::erase_if(stops_, [this](const auto& stop) {
    const auto found = attempts_.find(stop.first);
    if (found == attempts_.end() || !found->second.alive()) return true;
    const auto left = std::chrono::ceil<milliseconds>(stop.second - Clock::now());
    return executor_->stop(found->second.dir(), std::max(0ms, left));
  });
}

void Worker::forget(AttemptId id) {
  const auto found = attempts_.find(id);
  if (found == attempts_.end()) return;
  watcher_.forget(found->second.dir().path);
  work_dir_.done(found->second.dir());
  attempts_.erase(found);
  finish_if_drained();
}

}  // namespace scalelaw::worker
