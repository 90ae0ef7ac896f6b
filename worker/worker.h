/// The worker: keeps a session with the coordinator, has attempts executed, delivers what they report.
///
/// Read in this order: `attempt/attempt.h` (one attempt, what is known of it), `executor/executor.h` (where it runs),
/// `sources/source.h` (what it writes), `session/connection.h` (the coordinator). This class ties them together on one
/// thread; everything it must remember lies in its directory, so that it can die at any moment.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "client/credentials.h"
#include "scalelaw/v1/workers.pb.h"
#include "worker/attempt/attempt.h"
#include "worker/executor/executor.h"
#include "worker/ids.h"
#include "worker/session/backoff.h"
#include "worker/session/connection.h"
#include "worker/sources/watcher.h"
#include "worker/timer.h"
#include "worker/work_dir.h"

namespace scalelaw::worker {

struct WorkerOptions {
  /// `host:port` of the coordinator.
  std::string server;
  client::Credentials credentials;
  std::filesystem::path work_dir;
  /// Shared by all workers, so that runs resume on any of them; empty: each run's are in `work_dir`.
  std::filesystem::path checkpoints;
  /// What people see; default: the host's name.
  std::string name;
  std::map<std::string, std::string> labels;
  /// Commands that it runs besides the built-in trainers; absent: any.
  std::optional<AllowedCommands> allowed_commands;
  ResourceLimits limits;
  /// This program; `scalelaw-train` is looked for beside it.
  std::filesystem::path program;
  /// Between SIGTERM and SIGKILL of a trainer.
  std::chrono::milliseconds grace{30'000};
  /// Trainers are stopped when the worker itself has been dead for this long.
  std::chrono::milliseconds orphan_lease{120'000};
  /// Give up when no coordinator was reached for this long after the start; absent: keep trying.
  std::optional<std::chrono::milliseconds> connect_timeout;
  /// Between tries to reach the coordinator.
  std::chrono::milliseconds first_retry{200};
  std::chrono::milliseconds longest_retry{15'000};
  /// A draining worker waits this long for acknowledgements; what is left is delivered at its next start.
  std::chrono::milliseconds drain_delivery{30'000};
};

class Worker {
 public:
  /// Takes the directory, and takes up the attempts that an earlier worker left in it.
  static absl::StatusOr<std::unique_ptr<Worker>> open(WorkerOptions options, std::unique_ptr<Executor> executor);
  ~Worker();

  /// Works until it has drained (OK), was told to kill (CANCELLED), gave up to connect (UNAVAILABLE), or was halted.
  absl::Status run();

  // From any thread:

  /// Takes nothing new, stops the trainers with the grace time, delivers, then ends.
  void drain();
  /// Kills the trainers, then ends.
  void kill();
  /// Ends at once and leaves the trainers to their supervisors, for a later worker to take up.
  void halt();

 private:
  using Attempts = std::map<AttemptId, Attempt>;

  Worker(WorkerOptions options, WorkDir work_dir, std::unique_ptr<Executor> executor);

  // The session.
  void connect();
  v1::Hello hello() const;
  void on_message(const v1::CoordinatorMessage& message);
  void on_closed(const absl::Status& why);
  void on_welcome(const v1::Welcome& welcome);
  void on_ack(const v1::RecordAck& ack);
  void heartbeat();
  void send(v1::AttemptUpdate update);

  // Attempts.
  void take_up_attempts();
  void assign(const v1::Assignment& assignment);
  bool is_allowed(const v1::Assignment& assignment) const;
  Launch plan(const v1::Assignment& assignment) const;
  std::vector<int> choose_slots(int wanted) const;
  void stop_attempt(const v1::StopAttempt& stop);
  void fence(AttemptId id);
  void request_stop(Attempt& attempt, StopRequest stop, std::chrono::milliseconds grace);
  void pass_on_stops();
  void forget(AttemptId id);

  // The loop.
  void watch();
  void look_soon();
  void look();
  void deliver();
  void poll();
  void renew_lease();
  void finish_if_drained();
  void finish(absl::Status result);

  WorkerOptions options_;
  WorkDir work_dir_;
  std::unique_ptr<Executor> executor_;
  Executor::Offer offer_;
  std::string host_;
  Attempts attempts_;
  // Stops that the executor has not taken yet.
  std::map<AttemptId, std::chrono::steady_clock::time_point> stops_;
  Watcher watcher_;

  // Destroyed after the connection, whose handlers post to it.
  boost::asio::io_context loop_;
  boost::asio::posix::stream_descriptor watched_{loop_};
  Timer look_timer_{loop_};
  Timer deliver_timer_{loop_};
  Timer poll_timer_{loop_};
  Timer lease_timer_{loop_};
  Timer heartbeat_timer_{loop_};
  Timer connect_timer_{loop_};
  Timer give_up_timer_{loop_};
  Timer drain_timer_{loop_};
  std::chrono::steady_clock::time_point last_look_{};
  bool delivering_ = false;

  Backoff backoff_;
  // Answers of an earlier connection are told apart by its number.
  std::uint64_t connection_number_ = 0;
  std::unique_ptr<Connection> connection_;
  bool welcomed_ = false;
  bool ever_welcomed_ = false;
  std::chrono::steady_clock::time_point connected_at_{};
  std::chrono::steady_clock::time_point last_complaint_{};
  std::chrono::milliseconds heartbeat_every_{5'000};

  bool draining_ = false;
  bool killing_ = false;
  absl::Status result_;
};

}  // namespace scalelaw::worker
