// A store in a directory of its own, with words to fill it.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <gtest/gtest.h>

#include "server/store/store.h"
#include "tests/server/temporary_directory.h"

namespace scalelaw::server {

class StoreFixture : public testing::Test {
 protected:
  void SetUp() override { reopen(); }

  void reopen() {
    store.reset();
    auto opened = Store::open(directory.path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    store = *std::move(opened);
  }

  /// One sweep of one run (id 1) of study "study", on worker 1 in attempt 1.
  void with_a_running_attempt() {
    KnownWorker worker;
    worker.id = WorkerId{1};
    worker.uid = "worker-uid";
    worker.name = worker.host = "host";
    store->save_worker(worker, nullptr);
    NewSweep sweep;
    sweep.id = SweepId{1};
    sweep.expansion.name = "sweep";
    sweep.expansion.study = "study";
    ExpandedStage stage;
    stage.name = "stage";
    stage.study = "study";
    stage.command = {"true"};
    ExpandedRun run;
    run.name = "width=64";
    run.budget = FlopsBudget{1e9};
    run.content_key = "key";
    stage.runs = {run};
    sweep.expansion.stages = {stage};
    sweep.run_ids = {RunId{1}};
    sweep.reused = {false};
    Decisions decisions;
    decisions.runs.push_back({RunId{1}, RunState::kRunning, "", 0, {SweepId{1}, 0}});
    decisions.assignments.push_back({AttemptId{1}, RunId{1}, 1, WorkerId{1}, 0, 1, SweepId{1}});
    ASSERT_TRUE(wait([&](Store::Committed done) { store->submit(sweep, decisions, done); }).ok());
  }
  void with_another_attempt(int64_t id, int number) {
    Decisions decisions;
    decisions.assignments.push_back({AttemptId{id}, RunId{1}, number, WorkerId{1}, 0, 1, SweepId{1}});
    ASSERT_TRUE(apply(decisions).ok());
  }
  absl::Status end(int64_t attempt, AttemptState state) {
    Decisions decisions;
    decisions.attempts.push_back({AttemptId{attempt}, state, 0, ""});
    return apply(decisions);
  }
  absl::Status apply(const Decisions& decisions) {
    return wait([&](Store::Committed done) { store->apply(decisions, done); });
  }

  static absl::Status wait(const std::function<void(Store::Committed)>& write) {
    auto done = std::make_shared<std::promise<absl::Status>>();
    auto result = done->get_future();
    write([done](absl::Status status) { done->set_value(std::move(status)); });
    return result.get();
  }

  static v1::Record metrics(int64_t step, double value, const std::string& name = "loss") {
    v1::Record record;
    record.mutable_metrics()->set_step(step);
    record.mutable_metrics()->set_samples(step * 10);
    record.mutable_metrics()->set_flops(static_cast<double>(step) * 1e6);
    (*record.mutable_metrics()->mutable_values())[name] = value;
    return record;
  }
  static v1::Record start(int64_t step) {
    v1::Record record;
    record.mutable_start()->set_params(1000);
    record.mutable_start()->set_flops_per_sample(1e5);
    record.mutable_start()->set_step(step);
    return record;
  }
  static v1::Record output(const std::string& text) {
    v1::Record record;
    record.set_output(text);
    return record;
  }
  std::future<absl::StatusOr<v1::RecordAck>> ingest_later(int64_t attempt, int64_t begin, int64_t end,
                                                          std::vector<v1::Record> records,
                                                          v1::RecordSource source = v1::RECORD_SOURCE_EVENTS) {
    v1::RecordBatch batch;
    batch.set_attempt_id(attempt);
    batch.set_source(source);
    batch.set_begin(begin);
    batch.set_end(end);
    for (v1::Record& record : records) *batch.add_records() = std::move(record);
    auto done = std::make_shared<std::promise<absl::StatusOr<v1::RecordAck>>>();
    auto result = done->get_future();
    store->ingest(std::move(batch), [done](absl::StatusOr<v1::RecordAck> ack) { done->set_value(std::move(ack)); });
    return result;
  }
  v1::RecordAck ingest(int64_t attempt, int64_t begin, int64_t end, std::vector<v1::Record> records,
                       v1::RecordSource source = v1::RECORD_SOURCE_EVENTS) {
    return ingest_later(attempt, begin, end, std::move(records), source).get().value();
  }

  /// The steps of run 1's curve.
  std::vector<int64_t> steps(const std::string& metric = "loss") const {
    std::vector<int64_t> steps;
    const std::vector<v1::Curve> curves = store->curves(1, metric).value();
    for (const v1::Curve& curve : curves) {
      for (const v1::Point& point : curve.points()) steps.push_back(point.step());
    }
    return steps;
  }
  /// The first column of a query's rows as another program would read it.
  std::vector<std::string> sql(const std::string& query) const {
    SQLite::Database database((directory.path() / "scalelaw.db").string(), SQLite::OPEN_READONLY);
    SQLite::Statement statement(database, query);
    std::vector<std::string> rows;
    while (statement.executeStep()) rows.push_back(statement.getColumn(0).getString());
    return rows;
  }

  TemporaryDirectory directory;
  std::unique_ptr<Store> store;
};

}  // namespace scalelaw::server
