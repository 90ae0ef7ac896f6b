/// The directory of an attempt: what its supervisor, its trainer and the worker share.
#pragma once

#include <filesystem>
#include <string>

#include "worker/ids.h"

namespace scalelaw::worker {

/// Names only. A directory `attempts/<id>` exists from the moment that an attempt is accepted until the coordinator has
/// recorded its end.
struct AttemptDir {
  std::filesystem::path path;

  /// For the supervisor and for a restarted worker; written before anything else.
  std::filesystem::path launch() const { return path / "launch.json"; }
  /// `$SCALELAW_SPEC`, `$SCALELAW_EVENTS`, and what the trainer prints.
  std::filesystem::path spec() const { return path / "spec.json"; }
  std::filesystem::path events() const { return path / "events.jsonl"; }
  std::filesystem::path output() const { return path / "output.log"; }
  /// Held by the supervisor while it lives.
  std::filesystem::path supervisor_lock() const { return path / "supervisor.lock"; }
  /// Who runs; written before the trainer's program is.
  std::filesystem::path supervisor() const { return path / "supervisor.json"; }
  /// What the supervisor itself had to say.
  std::filesystem::path supervisor_log() const { return path / "supervisor.log"; }
  /// How it ended; written when nothing of the attempt lives any more.
  std::filesystem::path exit() const { return path / "exit.json"; }
  /// Name and id of its job, where a cluster runs it.
  std::filesystem::path slurm_job() const { return path / "slurm.json"; }
  /// Of the other members of a gang that a cluster has placed: what they report, which nobody reads, and print.
  std::filesystem::path member_events(int rank) const { return path / ("events." + std::to_string(rank) + ".jsonl"); }
  std::filesystem::path member_output(int rank) const { return path / ("output." + std::to_string(rank) + ".log"); }
  /// One of them has ended with exit code 75.
  std::filesystem::path interrupted() const { return path / "interrupted"; }
  /// That the worker asked it to stop, and why.
  std::filesystem::path stop() const { return path / "stop.json"; }
  /// The lease of the worker, two levels up.
  std::filesystem::path lease() const { return path.parent_path().parent_path() / "lease"; }
};

}  // namespace scalelaw::worker
