// Copies of the database: made while it is written to, put back, and never in the way of what is there.
#include "server/store/backup.h"

#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/store/migrations.h"
#include "tests/server/store_fixture.h"

namespace scalelaw::server {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Backup : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    with_a_running_attempt();
  }
  std::filesystem::path file() const { return database_file(directory.path()); }
  std::filesystem::path copy() const { return directory.path() / "copy.db"; }
};

TEST_F(Backup, OfADatabaseThatIsBeingWrittenIsSoundAndHoldsWhatWasAcknowledged) {
  std::atomic<bool> enough = false;
  std::atomic<int64_t> acknowledged = 0;
  std::thread writer([&] {
    for (int64_t step = 1; !enough; ++step) acknowledged = ingest(1, step - 1, step, {metrics(step, 0.5)}).offset();
  });
  while (acknowledged < 50) std::this_thread::yield();
  const int64_t before = acknowledged;
  EXPECT_TRUE(back_up_database(file(), copy()).ok());
  const int64_t after = acknowledged + 1;
  enough = true;
  writer.join();
  const absl::StatusOr<DatabaseReport> report = check_database(copy());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->problems, IsEmpty());
  EXPECT_GE(report->points, before);
  EXPECT_LE(report->points, after);
  EXPECT_FALSE(std::filesystem::exists(copy().string() + "-wal"));
}

TEST_F(Backup, IntoAMissingFolderSaysWhichOneIsMissing) {
  const absl::Status status = back_up_database(file(), directory.path() / "nowhere/copy.db");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("nowhere: make it with"));
}

TEST_F(Backup, NeverOverwrites) {
  std::ofstream(copy()) << "precious";
  const absl::Status status = back_up_database(file(), copy());
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
  EXPECT_EQ(content(copy()), "precious");
}

TEST_F(Backup, IsPutBackAndWhatWasThereIsKept) {
  ingest(1, 0, 1, {metrics(1, 0.9)});
  ASSERT_TRUE(back_up_database(file(), copy()).ok());
  ingest(1, 1, 2, {metrics(2, 0.8)});
  EXPECT_EQ(restore_database(copy(), directory.path()).status().code(), absl::StatusCode::kAlreadyExists)
      << "a server holds it";
  store.reset();
  const absl::StatusOr<std::string> kept = restore_database(copy(), directory.path());
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(check_database(*kept)->points, 2);
  reopen();
  EXPECT_THAT(steps(), testing::ElementsAre(1));
  EXPECT_GT(store->schedule()->snapshot.last_attempt, AttemptId{1'000'000})
      << "ids that it does not know of are left out";
  ingest(1, 1, 2, {metrics(2, 0.7)});
  EXPECT_THAT(steps(), testing::ElementsAre(1, 2)) << "its worker delivers what came after it again";
}

TEST_F(Backup, ADamagedCopyIsNotPutBack) {
  ASSERT_TRUE(back_up_database(file(), copy()).ok());
  {
    std::fstream damage(copy(), std::ios::in | std::ios::out | std::ios::binary);
    damage.seekp(4096 * 3);
    damage << std::string(4096 * 4, '\x5a');
  }
  store.reset();
  const std::string before = content(file());
  EXPECT_EQ(restore_database(copy(), directory.path()).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(content(file()), before);
}

TEST_F(Backup, ACheckNamesWhatIsWrong) {
  store.reset();
  {
    SQLite::Database database(file().string(), SQLite::OPEN_READWRITE);
    database.exec("PRAGMA foreign_keys = OFF; DELETE FROM runs;");
  }
  const absl::StatusOr<DatabaseReport> report = check_database(file());
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_FALSE(report->problems.empty());
  EXPECT_THAT(report->problems.front(), HasSubstr("refers to a missing row of runs"));
  EXPECT_EQ(check_database(directory.path() / "none.db").status().code(), absl::StatusCode::kNotFound);
}

// A database of the first schema with one run, its attempt and a point, as the first release wrote it.
class FirstSchema : public testing::Test {
 protected:
  void SetUp() override {
    const std::vector<Migration>& all = embedded_migrations();
    Connection connection(file(), Connection::Access::kReadWrite);
    ASSERT_TRUE(migrate(connection, "first", {all.begin(), all.begin() + 1}).ok());
    connection.script(R"(
      INSERT INTO studies VALUES (1, 'study');
      INSERT INTO sweeps VALUES (1, 'sweep', 1, 'running', x'', NULL, 3, 0, 1000, NULL);
      INSERT INTO stages VALUES (1, 0, 'stage');
      INSERT INTO workers VALUES (1, 'uid', 'name', 'host', '0.1', 'ready', 4, '{"a":"b"}', 2000);
      INSERT INTO runs (id, study_id, content_key, sweep_id, stage_position, name, command, params, budget_kind, budget,
                        seed, holdout, slots, labels, max_retries, backoff_ms, state, attempts)
        VALUES (1, 1, 'key', 1, 0, 'width=64', '["true"]', '{}', 'flops', 1e9, 1, 0, 2, '{}', 2, 1000, 'running', 1);
      INSERT INTO sweep_runs VALUES (1, 1, 0, 1);
      INSERT INTO attempts (id, run_id, number, worker_id, state, events_offset, assigned_ms)
        VALUES (7, 1, 1, 1, 'running', 10, 1500);
      INSERT INTO metrics VALUES (1, 'loss');
      INSERT INTO points VALUES (1, 1, 5, 50, 1e6, 0.5);
      INSERT INTO checkpoints VALUES (1, 5, '/checkpoint', 7);
      INSERT INTO log_chunks VALUES (1, 7, 'hello');)");
  }
  std::filesystem::path file() const { return database_file(directory.path()); }
  TemporaryDirectory directory;
};

TEST_F(FirstSchema, IsMigratedWithEverythingInItAfterACopyWasMade) {
  const auto store = Store::open(directory.path());
  ASSERT_TRUE(store.ok()) << store.status();
  const absl::StatusOr<StoredSchedule> schedule = (*store)->schedule();
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  ASSERT_EQ(schedule->snapshot.attempts.size(), 1u);
  EXPECT_EQ(schedule->snapshot.attempts[0].id, AttemptId{7});
  EXPECT_EQ(schedule->snapshot.attempts[0].slots, 2);
  EXPECT_EQ(schedule->snapshot.attempts[0].sweep, SweepId{1});
  EXPECT_EQ(schedule->snapshot.sweeps[0].plan.max_parallel, 3);
  EXPECT_EQ(schedule->snapshot.runs[0].plan.requirements.workers, 1);
  EXPECT_EQ((*store)->curves(1, "loss")->at(0).points_size(), 1);
  EXPECT_EQ((*store)->logs(1, 0, 1000)->at(0).text, "hello");
  EXPECT_THAT(check_database(file())->problems, IsEmpty());

  const std::filesystem::path before = file().string() + ".schema-1";
  const absl::StatusOr<DatabaseReport> copy = check_database(before);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(copy->schema, 1);
  EXPECT_EQ(copy->points, 1);
}

TEST_F(FirstSchema, WithMissingRowsIsRefusedAndLeftAsItWas) {
  {
    Connection connection(file(), Connection::Access::kReadWrite);
    connection.script("PRAGMA foreign_keys = OFF; DELETE FROM workers;");
  }
  EXPECT_EQ(Store::open(directory.path()).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(check_database(file())->schema, 1);
}

}  // namespace
}  // namespace scalelaw::server
