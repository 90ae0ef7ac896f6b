// The worker's side of the conversation with the coordinator.
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "worker/worker.h"

namespace scalelaw::worker {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kWelcomeWithin = 10s;
constexpr auto kComplainEvery = 30s;
// A connection that lasted this long was a good one: the next is tried without much delay.
constexpr auto kGoodConnection = 5s;

milliseconds as_milliseconds(double seconds) {
  return milliseconds(static_cast<milliseconds::rep>(seconds * 1000));
}

}  // namespace

void Worker::connect() {
  const std::uint64_t number = ++connection_number_;
  // Handlers run on threads of gRPC; what they bring is dealt with here, unless its connection is history by then.
  const auto here = [this, number](auto handle) {
    boost::asio::post(loop_, [this, number, handle = std::move(handle)] {
      if (number == connection_number_) handle();
    });
  };
  connection_.reset();
  welcomed_ = false;
  connection_ = std::make_unique<Connection>(
      options_.server, options_.credentials, hello(),
      Connection::Handlers{
          .on_message = [this, here](v1::CoordinatorMessage m) { here([this, m = std::move(m)] { on_message(m); }); },
          .on_ack = [this, here](v1::RecordAck ack) { here([this, ack = std::move(ack)] { on_ack(ack); }); },
          .on_closed = [this, here](absl::Status why) { here([this, why = std::move(why)] { on_closed(why); }); }});
  connect_timer_.after(kWelcomeWithin, [this] { on_closed(absl::DeadlineExceededError("no answer")); });
}

v1::Hello Worker::hello() const {
  v1::Hello hello;
  hello.set_worker_uid(work_dir_.worker_uid());
  hello.set_name(options_.name);
  hello.set_host(host_);
  hello.set_slots(static_cast<std::uint32_t>(offer_.slots));
  hello.set_version(SCALELAW_VERSION);
  hello.set_gpu_model(offer_.gpu_model);
  hello.set_gpu_memory_bytes(offer_.gpu_memory_bytes);
  hello.set_places_gangs(offer_.places_gangs);
  for (const auto& [key, value] : options_.labels) (*hello.mutable_labels())[key] = value;
  for (const auto& [id, attempt] : attempts_) {
    if (!attempt.fenced()) hello.add_attempt_ids(raw(id));
  }
  return hello;
}

void Worker::on_closed(const absl::Status& why) {
  ++connection_number_;  // Whatever else it has to say is late.
  connection_.reset();
  const bool was_good = welcomed_ && Clock::now() - connected_at_ > kGoodConnection;
  if (was_good) backoff_.reset();
  if (welcomed_ || last_complaint_ == Clock::time_point{} || Clock::now() - last_complaint_ > kComplainEvery) {
    last_complaint_ = Clock::now();
    if (ever_welcomed_) {
      spdlog::warn("the coordinator at {} is away ({}); {} attempts go on, trying again", options_.server,
                   std::string(why.message()), attempts_.size());
    } else {
      spdlog::warn(
          "no coordinator at {} ({}). Start one with `scalelaw-server --data DIR --listen {}`, or name "
          "another with --server; trying again",
          options_.server, std::string(why.message()), options_.server);
    }
  }
  welcomed_ = false;
  heartbeat_timer_.cancel();
  connect_timer_.after(backoff_.next(), [this] { connect(); });
}

void Worker::on_message(const v1::CoordinatorMessage& message) {
  if (!welcomed_ && !message.has_welcome()) return on_closed(absl::InternalError("it did not say welcome"));
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kWelcome:
      return on_welcome(message.welcome());
    case v1::CoordinatorMessage::kAssign:
      return assign(message.assign());
    case v1::CoordinatorMessage::kStop:
      return stop_attempt(message.stop());
    case v1::CoordinatorMessage::kUpdateAck:
      return forget(AttemptId{message.update_ack().attempt_id()});
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      return;
  }
}

void Worker::on_welcome(const v1::Welcome& welcome) {
  connect_timer_.cancel();
  give_up_timer_.cancel();
  welcomed_ = ever_welcomed_ = true;
  connected_at_ = Clock::now();
  if (welcome.heartbeat_seconds() > 0) heartbeat_every_ = as_milliseconds(welcome.heartbeat_seconds());
  spdlog::info("connected to {} as worker {}", options_.server, welcome.worker_id());

  for (const std::int64_t id : welcome.fenced_attempt_ids()) fence(AttemptId{id});
  // What the coordinator has never heard of it has nothing of.
  std::map<AttemptId, v1::Watermark> watermarks;
  for (const v1::Watermark& mark : welcome.watermarks()) watermarks[AttemptId{mark.attempt_id()}] = mark;
  for (auto& [id, attempt] : attempts_) {
    attempt.restart(watermarks[id].events_offset(), watermarks[id].output_offset());
    if (auto update = attempt.current_update()) send(*std::move(update));
  }
  if (draining_) {
    v1::WorkerMessage message;
    message.mutable_draining();
    connection_->send(std::move(message));
  }
  heartbeat_timer_.after(heartbeat_every_, [this] { heartbeat(); });
  look();
}

void Worker::on_ack(const v1::RecordAck& ack) {
  const auto found = attempts_.find(AttemptId{ack.attempt_id()});
  if (found == attempts_.end()) return;
  if (ack.fenced()) return fence(found->first);
  found->second.acknowledged(ack);
  deliver();
}

void Worker::heartbeat() {
  v1::WorkerMessage message;
  v1::Heartbeat& alive = *message.mutable_heartbeat();
  for (const auto& [id, attempt] : attempts_) {
    if (!attempt.fenced()) alive.add_attempt_ids(raw(id));
  }
  connection_->send(std::move(message));
  heartbeat_timer_.after(heartbeat_every_, [this] { heartbeat(); });
}

void Worker::send(v1::AttemptUpdate update) {
  if (!welcomed_) return;
  v1::WorkerMessage message;
  *message.mutable_update() = std::move(update);
  connection_->send(std::move(message));
}

}  // namespace scalelaw::worker
