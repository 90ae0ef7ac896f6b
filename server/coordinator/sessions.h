// The open sessions of workers: at most one each.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "server/coordinator/coordinator.h"

namespace scalelaw::server {

class Sessions {
 public:
  /// Replaces and closes an older session of the worker. Nothing is sent on the new one before its welcome.
  void open(WorkerId worker, std::shared_ptr<WorkerLink> link) {
    end(worker, absl::AbortedError("a newer session of this worker has taken over"));
    by_link_[link.get()] = worker;
    sessions_[worker] = {std::move(link), false};
  }
  /// Forgets the session of a worker that has left.
  void close(WorkerId worker) {
    const auto found = sessions_.find(worker);
    if (found == sessions_.end()) return;
    by_link_.erase(found->second.link.get());
    sessions_.erase(found);
  }
  /// Closes and forgets it.
  void end(WorkerId worker, absl::Status reason) {
    const auto found = sessions_.find(worker);
    if (found == sessions_.end()) return;
    found->second.link->close(std::move(reason));
    close(worker);
  }

  bool is_current(WorkerId worker, const WorkerLink& link) const {
    const auto found = sessions_.find(worker);
    return found != sessions_.end() && found->second.link.get() == &link;
  }
  /// Unset for a session that was replaced or ended.
  std::optional<WorkerId> worker_of(const WorkerLink& link) const {
    const auto found = by_link_.find(&link);
    return found == by_link_.end() ? std::nullopt : std::optional(found->second);
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
  std::unordered_map<const WorkerLink*, WorkerId> by_link_;
};

}  // namespace scalelaw::server
