// How many metric points per second are durable: STREAMS workers' streams over gRPC into a real server, beside a bare
// loop of prepared inserts into the same tables of an empty database of the same schema on the same disk, one after the
// other in one run. Then, at half of the rate found, how long a batch waits for its acknowledgement.
//
// Usage: ingest_rate [STREAMS [SECONDS [POINTS_PER_BATCH]]]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <sqlite3.h>

#include "bench/server/played_worker.h"
#include "bench/server/server_process.h"

namespace {

using namespace scalelaw;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

v1::RecordBatch batch_of(int64_t attempt, int64_t first_step, int points) {
  v1::RecordBatch batch;
  batch.set_attempt_id(attempt);
  batch.set_source(v1::RECORD_SOURCE_EVENTS);
  batch.set_begin(first_step);
  batch.set_end(first_step + points);
  for (int i = 0; i < points; ++i) {
    const int64_t step = first_step + i + 1;
    v1::TrainerMetrics& metrics = *batch.add_records()->mutable_metrics();
    metrics.set_step(step);
    metrics.set_samples(step * 256);
    metrics.set_flops(static_cast<double>(step) * 1e9);
    (*metrics.mutable_values())["loss"] = 1.0 / static_cast<double>(step);
  }
  return batch;
}

/// One worker's stream of records: a thread writes, another reads the acknowledgements.
class Stream {
 public:
  Stream(v1::Workers::Stub& stub, int64_t attempt, int points)
      : attempt_(attempt), points_(points), stream_(stub.Deliver(&context_)) {}

  /// As fast as it is acknowledged where `per_second` is 0; else so many batches per second.
  void run(double seconds, double per_second) {
    acknowledged = 0;
    milliseconds.clear();
    const auto start = Clock::now();
    std::thread reader([this] { read_until_caught_up(); });
    int64_t batches = 0;
    while (seconds_since(start) < seconds) {
      if (per_second > 0) {
        std::this_thread::sleep_until(start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                                                  static_cast<double>(batches) / per_second)));
      }
      const v1::RecordBatch batch = batch_of(attempt_, step_, points_);
      step_ += points_;
      {
        const std::lock_guard lock(mutex_);
        sent_.emplace_back(step_, Clock::now());
      }
      if (!stream_->Write(batch)) break;
      ++batches;
    }
    done_ = true;
    // One more, so that the reader wakes up and sees that it was the last.
    const v1::RecordBatch last = batch_of(attempt_, step_, points_);
    step_ += points_;
    last_ = step_.load();
    stream_->Write(last);
    reader.join();
    done_ = false;
  }

  int64_t acknowledged = 0;
  std::vector<double> milliseconds;

 private:
  void read_until_caught_up() {
    v1::RecordAck ack;
    while (stream_->Read(&ack)) {
      {
        const std::lock_guard lock(mutex_);
        while (!sent_.empty() && sent_.front().first <= ack.offset()) {
          milliseconds.push_back(seconds_since(sent_.front().second) * 1000);
          acknowledged += points_;
          sent_.pop_front();
        }
      }
      if (done_ && ack.offset() == last_) return;
    }
  }

  const int64_t attempt_;
  const int points_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::RecordBatch, v1::RecordAck>> stream_;
  std::atomic<int64_t> step_{0};
  std::atomic<int64_t> last_{-1};
  std::atomic<bool> done_{false};
  std::mutex mutex_;
  std::deque<std::pair<int64_t, Clock::time_point>> sent_;
};

/// Points per second over all streams.
double run_all(std::vector<std::unique_ptr<Stream>>& streams, double seconds, double batches_per_second) {
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (auto& stream : streams) {
    threads.emplace_back([&stream, seconds, each = batches_per_second / static_cast<double>(streams.size())] {
      stream->run(seconds, each);
    });
  }
  for (std::thread& thread : threads) thread.join();
  int64_t points = 0;
  for (const auto& stream : streams) points += stream->acknowledged;
  return static_cast<double>(points) / seconds_since(start);
}

void must(int code, sqlite3* database) {
  if (code == SQLITE_OK || code == SQLITE_DONE) return;
  fmt::print(stderr, "{}\n", sqlite3_errmsg(database));
  std::exit(1);
}

/// The limit: the same rows by nothing but prepared statements, as many points per commit as the server may group.
double bare_loop(const std::filesystem::path& file, int series, int points_per_commit, double seconds) {
  sqlite3* database = nullptr;
  must(sqlite3_open(file.c_str(), &database), database);
  must(sqlite3_exec(database,
                    "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; INSERT INTO metrics VALUES (1, 'loss')",
                    nullptr, nullptr, nullptr),
       database);
  sqlite3_stmt* point = nullptr;
  sqlite3_stmt* latest = nullptr;
  must(sqlite3_prepare_v2(database,
                          "INSERT OR REPLACE INTO points (run_id, metric_id, step, samples, flops, value) "
                          "VALUES (?1, 1, ?2, ?3, ?4, ?5)",
                          -1, &point, nullptr),
       database);
  must(sqlite3_prepare_v2(
           database,
           "INSERT INTO latest_points (run_id, metric_id, step, samples, flops, value) VALUES (?1, 1, ?2, ?3, ?4, ?5) "
           "ON CONFLICT DO UPDATE SET step = excluded.step, samples = excluded.samples, flops = excluded.flops, "
           "value = excluded.value WHERE excluded.step >= step",
           -1, &latest, nullptr),
       database);
  const auto start = Clock::now();
  int64_t count = 0;
  while (seconds_since(start) < seconds) {
    must(sqlite3_exec(database, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), database);
    for (int i = 0; i < points_per_commit; ++i, ++count) {
      const int64_t step = count / series + 1;
      for (sqlite3_stmt* statement : {point, latest}) {
        sqlite3_bind_int64(statement, 1, count % series + 1);
        sqlite3_bind_int64(statement, 2, step);
        sqlite3_bind_int64(statement, 3, step * 256);
        sqlite3_bind_double(statement, 4, static_cast<double>(step) * 1e9);
        sqlite3_bind_double(statement, 5, 1.0 / static_cast<double>(step));
        must(sqlite3_step(statement), database);
        sqlite3_reset(statement);
      }
    }
    must(sqlite3_exec(database, "COMMIT", nullptr, nullptr, nullptr), database);
  }
  const double rate = static_cast<double>(count) / seconds_since(start);
  sqlite3_finalize(point);
  sqlite3_finalize(latest);
  sqlite3_close(database);
  return rate;
}

}  // namespace

int main(int argc, char** argv) {
  const int streams = argc > 1 ? std::atoi(argv[1]) : 32;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 5;
  const int points = argc > 3 ? std::atoi(argv[3]) : 100;

  bench::ServerProcess server;
  server.start();
  const auto channel = bench::connect(server.address);
  bench::PlayedWorker worker(channel, "bench", streams);
  if (const grpc::Status status = bench::submit(channel, streams); !status.ok()) {
    fmt::print(stderr, "{}\n", status.error_message());
    return 1;
  }
  std::vector<std::unique_ptr<Stream>> all;
  for (int i = 0; i < streams; ++i) {
    all.push_back(std::make_unique<Stream>(*worker.stub, worker.next().assign().attempt_id(), points));
  }
  const double rate = run_all(all, seconds, 0);
  const double memory = server.memory_mib();
  run_all(all, seconds, rate / points / 2);
  std::vector<double> waits;
  for (const auto& stream : all) waits.insert(waits.end(), stream->milliseconds.begin(), stream->milliseconds.end());
  std::sort(waits.begin(), waits.end());

  // The same tables and the same rows that points refer to, without the points.
  bench::ServerProcess bare;
  server.stop();
  std::filesystem::copy_file(server.directory / "scalelaw.db", bare.directory / "scalelaw.db");
  {
    sqlite3* database = nullptr;
    must(sqlite3_open((bare.directory / "scalelaw.db").c_str(), &database), database);
    must(sqlite3_exec(database, "DELETE FROM points; DELETE FROM latest_points; DELETE FROM metrics; VACUUM;", nullptr,
                      nullptr, nullptr),
         database);
    sqlite3_close(database);
  }
  const double limit = bare_loop(bare.directory / "scalelaw.db", streams, points * streams, seconds);

  const double p99 = waits[static_cast<size_t>(0.99 * static_cast<double>(waits.size() - 1))];
  fmt::print("{} streams, {} points per batch, {} s each\n", streams, points, seconds);
  fmt::print("over gRPC     {:>9.0f} points/s, server at {:.0f} MiB\n", rate, memory);
  fmt::print("bare loop     {:>9.0f} points/s, {} per commit\n", limit, points * streams);
  fmt::print("ratio         {:>9.2f} (wanted: 0.5 or more)\n", rate / limit);
  fmt::print("acknowledged at half that rate: p50 {:.1f} ms, p99 {:.1f} ms (wanted: under 50)\n",
             waits[waits.size() / 2], p99);
  return 0;
}
