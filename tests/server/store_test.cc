// Opening, migrating, committing: what the database promises.
#include "server/store/store.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/store/connection.h"
#include "server/store/migrations.h"
#include "tests/server/store_fixture.h"

namespace scalelaw::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class OpenStore : public testing::Test {
 protected:
  absl::Status open() const { return Store::open(directory.path()).status(); }
  std::filesystem::path file() const { return directory.path() / "scalelaw.db"; }
  void make_database(const std::string& script) const {
    SQLite::Database(file().string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec(script);
  }
  void expect_refused_untouched(absl::StatusCode code, const std::string& word) const {
    const std::string before = content(file());
    const absl::Status status = open();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(word));
    EXPECT_EQ(content(file()), before);
  }
  TemporaryDirectory directory;
};

TEST_F(OpenStore, MakesTheDirectoryAndTheDatabase) {
  const auto store = Store::open(directory.path() / "deep" / "er");
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "deep" / "er" / "scalelaw.db"));
}

TEST_F(OpenStore, IsInWalModeWithStrictTablesAndForeignKeysThatHold) {
  ASSERT_TRUE(open().ok());
  SQLite::Database database(file().string(), SQLite::OPEN_READWRITE);
  EXPECT_EQ(database.execAndGet("PRAGMA journal_mode").getString(), "wal");
  EXPECT_EQ(database
                .execAndGet("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
                            "AND NOT strict AND name NOT LIKE 'sqlite_%'")
                .getInt(),
            0);
  EXPECT_EQ(database.execAndGet("SELECT count(*) FROM pragma_foreign_key_check").getInt(), 0);
  EXPECT_EQ(database.execAndGet("PRAGMA user_version").getInt(), embedded_migrations().back().version);
}

TEST_F(OpenStore, ASecondServerIsRefusedByThePidOfTheFirst) {
  const auto first = Store::open(directory.path());
  ASSERT_TRUE(first.ok());
  const absl::Status second = open();
  EXPECT_EQ(second.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.message()), HasSubstr(std::to_string(getpid())));
}

TEST_F(OpenStore, ANewerSchemaIsRefusedUntouched) {
  ASSERT_TRUE(open().ok());
  make_database("PRAGMA user_version = 9999; PRAGMA wal_checkpoint(TRUNCATE)");
  expect_refused_untouched(absl::StatusCode::kFailedPrecondition, "newer");
}

TEST_F(OpenStore, AnotherProgramsDatabaseIsRefusedUntouched) {
  make_database("CREATE TABLE recipes (name)");
  expect_refused_untouched(absl::StatusCode::kFailedPrecondition, "another program");
}

TEST_F(OpenStore, AFileThatIsNoDatabaseIsRefusedUntouched) {
  std::ofstream(file()) << std::string(5000, 'x');
  expect_refused_untouched(absl::StatusCode::kDataLoss, "not a SQLite database");
}

TEST_F(OpenStore, ACorruptDatabaseIsRefusedUntouched) {
  ASSERT_TRUE(open().ok());
  make_database("PRAGMA wal_checkpoint(TRUNCATE)");
  {
    std::fstream damage(file(), std::ios::in | std::ios::out | std::ios::binary);
    damage.seekp(4096);
    damage << std::string(8192, '\x5a');
  }
  expect_refused_untouched(absl::StatusCode::kDataLoss, "corrupt");
}

TEST_F(OpenStore, AReadOnlyDirectoryIsRefused) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  std::filesystem::permissions(directory.path(),
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  EXPECT_EQ(open().code(), absl::StatusCode::kPermissionDenied);
  std::filesystem::permissions(directory.path(), std::filesystem::perms::owner_all);
}

TEST(Migrations, AreAppliedFromAnyEarlierVersion) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "m.db";
  const std::vector<Migration> all = {{1, "one", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (7);"},
                                      {2, "two", "ALTER TABLE a ADD COLUMN y TEXT;"},
                                      {3, "three", "CREATE TABLE b (z INTEGER) STRICT;"}};
  Connection connection(file, Connection::Access::kReadWrite);
  ASSERT_TRUE(migrate(connection, "m.db", {all.begin(), all.begin() + 1}).ok());
  ASSERT_TRUE(migrate(connection, "m.db", all).ok());
  Query row = connection.query("SELECT x FROM a WHERE y IS NULL");
  ASSERT_TRUE(row.next());
  EXPECT_EQ(row.integer(0), 7);
  EXPECT_TRUE(connection.query("SELECT 1 FROM pragma_table_list WHERE name = 'b'").next());
}

TEST(Migrations, AFailingOneLeavesTheOldSchema) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "m.db";
  {
    Connection connection(file, Connection::Access::kReadWrite);
    ASSERT_TRUE(migrate(connection, "m.db", {{1, "one", "CREATE TABLE a (x INTEGER) STRICT;"}}).ok());
    EXPECT_THROW((void)migrate(connection, "m.db",
                               {{1, "one", ""}, {2, "two", "CREATE TABLE b (y INTEGER) STRICT; CREATE nonsense;"}}),
                 SQLite::Exception);
  }
  Connection again(file, Connection::Access::kReadWrite);
  Query version = again.query("PRAGMA user_version");
  ASSERT_TRUE(version.next());
  EXPECT_EQ(version.integer(0), 1);
  EXPECT_FALSE(again.query("SELECT 1 FROM pragma_table_list WHERE name = 'b'").next());
}

class Commit : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    with_a_running_attempt();
  }
};

TEST_F(Commit, AnAcknowledgementComesOnlyAfterAnotherConnectionCanReadTheRecords) {
  v1::RecordBatch batch;
  batch.set_attempt_id(1);
  batch.set_source(v1::RECORD_SOURCE_EVENTS);
  batch.set_end(10);
  *batch.add_records() = metrics(1, 0.5);
  std::promise<std::vector<std::string>> seen;
  store->ingest(batch, [&](const absl::StatusOr<v1::RecordAck>&) { seen.set_value(sql("SELECT step FROM v_curves")); });
  EXPECT_THAT(seen.get_future().get(), ElementsAre("1"));
}

TEST_F(Commit, ManyQueuedTransactionsShareCommitsAndKeepTheirOrder) {
  const uint64_t before = store->commits();
  std::vector<std::future<absl::StatusOr<v1::RecordAck>>> acks;
  for (int64_t i = 0; i < 2000; ++i) acks.push_back(ingest_later(1, i, i + 1, {metrics(i + 1, 0.5)}));
  for (int64_t i = 0; i < 2000; ++i) EXPECT_EQ(acks[static_cast<size_t>(i)].get()->offset(), i + 1);
  EXPECT_EQ(steps().size(), 2000u);
  EXPECT_LT(store->commits() - before, 1000u);
}

TEST_F(Commit, ATransactionThatIsRefusedTakesNoOtherWithIt) {
  Decisions impossible;
  impossible.assignments.push_back({AttemptId{7}, RunId{12345}, 1, WorkerId{1}});
  auto first = ingest_later(1, 0, 10, {metrics(1, 0.5)});
  auto refused = std::async(std::launch::async, [&] { return apply(impossible); });
  EXPECT_EQ(refused.get().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(first.get()->offset(), 10);
  EXPECT_EQ(ingest(1, 10, 20, {metrics(2, 0.4)}).offset(), 20);
}

TEST_F(Commit, AFullDiskDelaysTheAcknowledgementAndLosesNothing) {
  // A limit on file sizes refuses writes in the middle of a commit, just as a full disk does.
  std::signal(SIGXFSZ, SIG_IGN);
  const auto before = ingest(1, 0, 1, {metrics(1, 0.9)}).offset();
  ASSERT_EQ(before, 1);
  rlimit unlimited{};
  getrlimit(RLIMIT_FSIZE, &unlimited);
  const rlimit tight{4096, unlimited.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  auto later = ingest_later(1, 1, 2, {metrics(2, 0.8), output(std::string(100'000, 'x'))});
  while (store->health().ok()) std::this_thread::yield();
  EXPECT_EQ(later.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  EXPECT_THAT(steps(), ElementsAre(1)) << "reading goes on";
  setrlimit(RLIMIT_FSIZE, &unlimited);
  EXPECT_EQ(later.get()->offset(), 2);
  EXPECT_THAT(steps(), ElementsAre(1, 2));
  while (!store->health().ok()) std::this_thread::yield();
  EXPECT_THAT(sql("PRAGMA integrity_check"), ElementsAre("ok"));
}

TEST_F(Commit, AfterClosingNothingIsStoredAndCallersAreTold) {
  store->close();
  EXPECT_EQ(ingest_later(1, 0, 1, {metrics(1, 0.9)}).get().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(store->run(1).ok()) << "reading goes on";
}

TEST_F(Commit, ReadersAreNotBlockedByTheWriter) {
  SQLite::Database reader((directory.path() / "scalelaw.db").string(), SQLite::OPEN_READONLY);
  SQLite::Statement slow(reader, "SELECT run_id FROM v_runs");
  ASSERT_TRUE(slow.executeStep());
  EXPECT_EQ(ingest(1, 0, 1, {metrics(1, 0.9)}).offset(), 1) << "in spite of the open read transaction";
}

TEST_F(Commit, LawsAreImmutableAndComeBackAsTheyWere) {
  const StoredLaw law{0, "study", "loss", "power", "loss = 2·x^-0.1", "hash", R"({"law":"power","a":0.1})", 0};
  const auto id = store->insert_law(law);
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(store->law(*id)->document, law.document);
  ASSERT_EQ(store->laws("study", "loss")->size(), 1u);
  EXPECT_THAT(*store->laws("study", "alignment"), IsEmpty());
  EXPECT_EQ(store->law(99).status().code(), absl::StatusCode::kNotFound);
  SQLite::Database database((directory.path() / "scalelaw.db").string(), SQLite::OPEN_READWRITE, 5000);
  EXPECT_THROW(database.exec("UPDATE laws SET form = 'other'"), SQLite::Exception);
}

TEST_F(Commit, EveryDocumentedViewAnswers) {
  for (const std::string view :
       {"v_studies", "v_sweeps", "v_runs", "v_curves", "v_observations", "v_laws", "v_workers", "v_attempts"}) {
    EXPECT_NO_THROW(sql("SELECT * FROM " + view)) << view;
  }
  EXPECT_THAT(sql("SELECT study || '/' || sweep || '/' || stage || '/' || run || '/' || state FROM v_runs"),
              ElementsAre("study/sweep/stage/width=64/running"));
}

}  // namespace
}  // namespace scalelaw::server
