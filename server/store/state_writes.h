// Sweeps, decisions of the scheduler, workers and laws into the database. All run inside a writer's transaction.
#pragma once

#include <cstdint>

#include "server/store/connection.h"
#include "server/store/store.h"

namespace scalelaw::server {

/// The id of a study, which is made if there is none of this name.
int64_t study_id(Connection& connection, const std::string& name);
/// `now_ms`: milliseconds since 1970, kept as the time of each change.
void write_sweep(Connection& connection, const NewSweep& sweep, int64_t now_ms);
void write_decisions(Connection& connection, const Decisions& decisions, int64_t now_ms);
void write_gpu_usage(Connection& connection, AttemptId attempt, const v1::GpuUsage& usage);
void write_worker(Connection& connection, const KnownWorker& worker);
/// The new law's id.
int32_t write_law(Connection& connection, const StoredLaw& law, int64_t now_ms);

}  // namespace scalelaw::server
