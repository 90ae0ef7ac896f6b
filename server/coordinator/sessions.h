// The open sessions of workers: at most one each.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "server/coordinator/coordinator.h"

namespace scalelaw::server {

class Sessions {
 public:
  /// Replaces and closes an older session of the worker. Nothing is sent on the new one before its welcome.
  void open(WorkerId worker, std::shared_ptr<WorkerLink> link) {
    end(worker, absl::AbortedError("a newer session of this worker has taken over"));
    sessions_[worker] = {std::move(link), false};
  }
  /// Forgets the session of a worker that has left.
  void close(WorkerId worker) { sessions_.erase(worker); }
  /// Closes and forgets it.
  void end(WorkerId worker, absl::Status reason) {
    const auto found = sessions_.find(worker);
    if (found == sessions_.end()) return;
    found->second.link->close(std::move(reason));
    sessions_.erase(found);
  }

  bool is_current(WorkerId worker, const WorkerLink& link) const {
    const auto found = sessions_.find(worker);
    return found != sessions_.end() && found->second.link.get() == &link;
  }
  /// Unset for a session that was replaced or ended.
  std::optional<WorkerId> worker_of(const WorkerLink& link) const {
    for (const auto& [worker, session] : sessions_) {
      if (session.link.get() == &link) return worker;
    }
    return std::nullopt;
  }

  void welcome(WorkerId worker, v1::CoordinatorMessage message) {
    const auto found = sessions_.find(worker);
    if (found == sessions_.end()) return;
    found->second.welcomed = true;
    found->second.link->send(std::move(message));
  }
  /// Dropped where there is no welcomed session: the worker learns the state of its attempts when it comes back.
  void send(WorkerId worker, v1::CoordinatorMessage message) {
    const auto found = sessions_.find(worker);
    if (found != sessions_.end() && found->second.welcomed) found->second.link->send(std::move(message));
  }

 private:
  struct Session {
    std::shared_ptr<WorkerLink> link;
    bool welcomed = false;
  };
  std::map<WorkerId, Session> sessions_;
};

}  // namespace scalelaw::server
