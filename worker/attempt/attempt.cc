#include "worker/attempt/attempt.h"

#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace scalelaw::worker {
namespace {

constexpr int kReasonLines = 10;
constexpr std::int64_t kReasonBytes = 2000;

const char* name(AttemptPhase phase) {
  switch (phase) {
    case AttemptPhase::kStarting:
      return "starting";
    case AttemptPhase::kRunning:
      return "running";
    case AttemptPhase::kEnded:
      return "ended";
    case AttemptPhase::kReported:
      return "reported";
  }
  return "unknown";
}

bool allowed(AttemptPhase from, AttemptPhase to) {
  switch (from) {
    case AttemptPhase::kStarting:
      return to == AttemptPhase::kRunning || to == AttemptPhase::kEnded;
    case AttemptPhase::kRunning:
      return to == AttemptPhase::kEnded;
    case AttemptPhase::kEnded:
      return to == AttemptPhase::kReported;
    case AttemptPhase::kReported:
      return to == AttemptPhase::kEnded;
  }
  return false;
}

}  // namespace

Attempt::Attempt(AttemptDir dir, Launch launch, std::optional<StopRequest> stop)
    : dir_(std::move(dir)),
      launch_(std::move(launch)),
      stop_(std::move(stop)),
      events_(Source::events(launch_.attempt, dir_.events(), launch_.run_directory.string())),
      output_(Source::output(launch_.attempt, dir_.output())) {}

Attempt Attempt::rejected(AttemptDir dir, Launch launch, Exit exit, std::optional<StopRequest> stop) {
  Attempt attempt(std::move(dir), std::move(launch), std::move(stop));
  attempt.observe({Executor::Phase::kEnded, std::move(exit)});
  return attempt;
}

void Attempt::move_to(AttemptPhase next) {
  if (!allowed(phase_, next)) {
    throw std::logic_error(
        fmt::format("attempt {}: {} cannot become {}", raw(launch_.attempt), name(phase_), name(next)));
  }
  phase_ = next;
}

void Attempt::request_stop(StopRequest stop) {
  if (!stop_) stop_ = std::move(stop);
}

bool Attempt::observe(const Executor::Observation& observation) {
  if (!alive()) return false;
  if (observation.phase == Executor::Phase::kRunning && phase_ == AttemptPhase::kStarting) {
    move_to(AttemptPhase::kRunning);
    return true;
  }
  if (observation.phase == Executor::Phase::kEnded) {
    exit_ = observation.exit;
    move_to(AttemptPhase::kEnded);
    return true;
  }
  return false;
}

std::vector<v1::RecordBatch> Attempt::next_batches(Source::Time now) {
  std::vector<v1::RecordBatch> batches;
  if (fenced_ || phase_ == AttemptPhase::kReported) return batches;
  for (Source* source : {&events_, &output_}) {
    if (auto batch = source->next(now, !alive())) batches.push_back(*std::move(batch));
  }
  return batches;
}

void Attempt::acknowledged(const v1::RecordAck& ack) {
  if (ack.source() == v1::RECORD_SOURCE_EVENTS) events_.acknowledged(ack.offset());
  if (ack.source() == v1::RECORD_SOURCE_OUTPUT) output_.acknowledged(ack.offset());
}

void Attempt::restart(std::int64_t events_committed, std::int64_t output_committed) {
  events_.restart(events_committed);
  output_.restart(output_committed);
  if (phase_ == AttemptPhase::kReported) move_to(AttemptPhase::kEnded);
}

std::optional<v1::AttemptUpdate> Attempt::current_update() const {
  if (phase_ != AttemptPhase::kRunning || fenced_) return std::nullopt;
  v1::AttemptUpdate update;
  update.set_attempt_id(raw(id()));
  update.set_state(v1::ATTEMPT_STATE_RUNNING);
  return update;
}

std::optional<v1::AttemptUpdate> Attempt::take_final_update() {
  if (phase_ != AttemptPhase::kEnded || fenced_ || !events_.delivered() || !output_.delivered()) return std::nullopt;
  v1::AttemptUpdate update =
      describe_end(id(), exit_.value_or(Exit{}), stop_, last_lines(dir_.output(), kReasonLines, kReasonBytes));
  update.set_events_end(events_.committed());
  update.set_output_end(output_.committed());
  move_to(AttemptPhase::kReported);
  return update;
}

}  // namespace scalelaw::worker
