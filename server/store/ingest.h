// Records of trainers into the database, exactly once.
#pragma once

#include <string>
#include <unordered_map>

#include "scalelaw/v1/workers.pb.h"
#include "server/scheduling/ids.h"
#include "server/store/connection.h"

namespace scalelaw::server {

/// Used on the writer thread only.
class Ingest {
 public:
  /// Applies the batch if it begins where the attempt's source ends, and moves that end; runs inside a transaction.
  /// A duplicate, a gap or an overlap changes nothing: the acknowledgement says where to go on from. Records of an
  /// attempt that is unknown, lost, or over are refused as fenced.
  v1::RecordAck apply(Connection& connection, const v1::RecordBatch& batch);
  /// A transaction was undone: what is remembered of the database may be wrong.
  void forget() { metric_ids_.clear(); }

 private:
  struct Target {
    AttemptId attempt;
    RunId run;
    /// Rank 0 of its gang: the others' events are not the run's.
    bool leads = false;
  };
  void apply_records(Connection& connection, const Target& target, const v1::RecordBatch& batch);
  void apply_start(Connection& connection, const Target& target, const v1::TrainerStart& start);
  std::string apply_metrics(Connection& connection, const Target& target, const v1::TrainerMetrics& metrics);
  int64_t metric_id(Connection& connection, const std::string& name);

  std::unordered_map<std::string, int64_t> metric_ids_;
};

}  // namespace scalelaw::server
