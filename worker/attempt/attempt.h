/// One attempt as the worker keeps it: where its trainer stands, and what of it the coordinator knows.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "scalelaw/v1/workers.pb.h"
#include "worker/attempt/attempt_dir.h"
#include "worker/attempt/exit.h"
#include "worker/attempt/launch.h"
#include "worker/executor/executor.h"
#include "worker/sources/source.h"

namespace scalelaw::worker {

/// starting → running → ended → reported. Ended: nothing of it is alive, records are still being delivered. Reported:
/// everything is committed and the final update sent; a new connection takes it back to ended until that is certain.
enum class AttemptPhase { kStarting, kRunning, kEnded, kReported };

/// Decides, sends nothing: its owner passes on what it returns. Not thread-safe.
class Attempt {
 public:
  /// A directory that was just prepared, or one found after a restart of the worker; `stop` as it was then.
  Attempt(AttemptDir dir, Launch launch, std::optional<StopRequest> stop);
  /// One that could not even be prepared: it has ended, and only that is to be told.
  static Attempt rejected(AttemptDir dir, Launch launch, Exit exit, std::optional<StopRequest> stop);

  AttemptId id() const { return launch_.attempt; }
  const AttemptDir& dir() const { return dir_; }
  const Launch& launch() const { return launch_; }
  AttemptPhase phase() const { return phase_; }
  bool alive() const { return phase_ == AttemptPhase::kStarting || phase_ == AttemptPhase::kRunning; }
  /// The coordinator has given the run to someone else: nothing more is delivered.
  bool fenced() const { return fenced_; }
  void fence() { fenced_ = true; }
  /// The coordinator has all events that there are.
  bool delivered() { return events_.delivered(); }
  const std::optional<StopRequest>& stop() const { return stop_; }
  /// The first request counts; it is what the end will be called.
  void request_stop(StopRequest stop);

  /// What the executor sees. True if that is news.
  bool observe(const Executor::Observation& observation);

  /// The next batches to send, one of each source at most. Empty for a fenced attempt.
  std::vector<v1::RecordBatch> next_batches(Source::Time now);
  /// Some source has more, but must wait a little.
  bool held_back() const { return events_.held_back() || output_.held_back(); }
  void acknowledged(const v1::RecordAck& ack);
  /// A new connection: deliver from what the coordinator says it has.
  void restart(std::int64_t events_committed, std::int64_t output_committed);

  /// What to tell after a (re)connection: running, or nothing.
  std::optional<v1::AttemptUpdate> current_update() const;
  /// The final update, once per connection, when the trainer has ended and everything it wrote is committed.
  std::optional<v1::AttemptUpdate> take_final_update();

 private:
  void move_to(AttemptPhase next);

  AttemptDir dir_;
  Launch launch_;
  AttemptPhase phase_ = AttemptPhase::kStarting;
  bool fenced_ = false;
  std::optional<StopRequest> stop_;
  std::optional<Exit> exit_;
  Source events_;
  Source output_;
};

}  // namespace scalelaw::worker
