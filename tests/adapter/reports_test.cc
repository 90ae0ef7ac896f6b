// What the logs of the training codes that people run look like, made from their documented formats.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "adapter/records.h"

namespace scalelaw::adapter {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<Record> records_of(Reports& reports, bool ended = false) {
  absl::StatusOr<std::vector<Record>> records = reports.poll(ended);
  EXPECT_TRUE(records.ok()) << records.status();
  return records.value_or(std::vector<Record>());
}

std::unique_ptr<OutputReports> output(const std::string& expression) {
  auto made = OutputReports::make({expression});
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

TEST(OutputReports, ReadDitsTrainingLog) {
  auto reports = output(R"(\(step=(?P<step>\d+)\) Train Loss: (?P<loss>[\d.]+))");
  reports->append(
      "[2026-01-02 03:04:05] Beginning epoch 0...\n[2026-01-02 03:04:06] (step=0000100) Train Loss: 0.2037, ");
  EXPECT_THAT(records_of(*reports), IsEmpty()) << "the line is not whole";
  reports->append("Train Steps/Sec: 1.23\n(step=0000200) Train Loss: 0.1999, Train Steps/Sec: 1.2\n");
  EXPECT_THAT(records_of(*reports),
              ElementsAre(Record{{"step", 100}, {"loss", 0.2037}}, Record{{"step", 200}, {"loss", 0.1999}}));
  EXPECT_THAT(records_of(*reports), IsEmpty());
}

TEST(OutputReports, ReadVarsIterationsAndNotItsValLineWhichIsOfTheTrainingSet) {
  auto reports = output(
      R"(^\[Ep\]: \[\s*(?P<ep>\d+)/\d+\]\s+\[\s*(?P<it>\d+)/(?P<its>\d+)\].* Lm: [\d.]+ \((?P<Lm>[\d.]+)\)\s+Lt: [\d.]+ \((?P<Lt>[\d.]+)\))");
  reports->append(
      "[Ep]: [   3/250]  [ 520/1668]  eta: 0:12:33  tlr: 0.0001  tnm: 0.35  Lm: 7.12 (7.2)  Lt: 6.9 (7.0)  Accm: 2.9 "
      "(2.8)  "
      "Acct: 3.1 (3.0)\n[ep3]  (val 50000)  Lm: 7.1234, Lt: 6.9876, Acc m&t: 2.91 3.02,  Val cost: 41.11s\n");
  EXPECT_THAT(records_of(*reports),
              ElementsAre(Record{{"ep", 3}, {"it", 520}, {"its", 1668}, {"Lm", 7.2}, {"Lt", 7.0}}));
}

TEST(OutputReports, ReadProgressBarsAndTheLastLineWithoutItsEnd) {
  auto reports = output("(?P<step>\\d+)/9 loss=(?P<loss>\\S+)");
  reports->append("1/9 loss=3\r2/9 loss=nan\r3/9 loss=oops\r4/9 loss=1");
  const std::vector<Record> records = records_of(*reports, true);
  ASSERT_EQ(records.size(), 4u);
  EXPECT_TRUE(std::isnan(records[1].at("loss"))) << "what is not finite is seen";
  EXPECT_FALSE(records[2].contains("loss"));
  EXPECT_EQ(records[3].at("loss"), 1);
}

TEST(OutputReports, RefuseAnExpressionThatNamesNothing) {
  EXPECT_THAT(OutputReports::make({"("}).status().message(), HasSubstr("is no regular expression"));
  EXPECT_THAT(OutputReports::make({"loss ([0-9]+)"}).status().message(), HasSubstr("no named group"));
}

class FileReports : public testing::Test {
 protected:
  FileReports() : before_(fs::current_path()) {
    std::string folder = testing::TempDir() + "/reports-XXXXXX";
    folder_ = mkdtemp(folder.data());
    fs::current_path(folder_);
  }
  ~FileReports() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }
  static void write(const fs::path& path, const std::string& text, bool append = false) {
    if (path.has_parent_path()) fs::create_directories(path.parent_path());
    std::ofstream(path, append ? std::ios::app : std::ios::trunc) << text;
  }

 private:
  fs::path before_;
  fs::path folder_;
};

TEST_F(FileReports, JsonLinesComeOnceAsTheyAreWritten) {
  const auto reports = jsonl_reports("log.jsonl");
  EXPECT_THAT(records_of(*reports), IsEmpty()) << "there is no file yet";
  write("log.jsonl", R"({"step": 1, "loss": 2.5, "note": "x", "eval": {"acc": 0.5}})"
                     "\n{\"step\": 2");
  EXPECT_THAT(records_of(*reports), ElementsAre(Record{{"step", 1}, {"loss", 2.5}, {"eval/acc", 0.5}}));
  write("log.jsonl", ", \"loss\": NaN}\nno report\n", true);
  const std::vector<Record> records = records_of(*reports);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_TRUE(std::isnan(records[0].at("loss")));
}

// VAR's log.txt: a JSON header, then Python dicts; begun anew at epochs 1, 11, 21, …
TEST_F(FileReports, PythonDictsAreReadAndAFileThatBeginsAnewToo) {
  const auto reports = jsonl_reports("log.txt");
  const std::string header = R"({"name": "var_d16", "cmd": "--depth=16"})"
                             "\n\n";
  write("log.txt",
        header + "{'cur_ep': '2/200', 'vL_mean': 8.25, 'note': \"it's\", 'ok': True, 'x': None, 'bad': inf}\n");
  EXPECT_THAT(records_of(*reports), ElementsAre(Record{{"vL_mean", 8.25}, {"bad", HUGE_VAL}}));
  write("log.txt", header + "{'vL_mean': 7.5}\n");
  EXPECT_THAT(records_of(*reports), ElementsAre(Record{{"vL_mean", 7.5}}));
}

// Lightning writes metrics.csv anew with more columns when a new metric appears, in a folder per version.
TEST_F(FileReports, LightningsTableIsReadThoughItIsRewritten) {
  const auto reports = csv_reports("lightning_logs/version_*/metrics.csv");
  write("lightning_logs/version_0/metrics.csv", "epoch,step,train_loss\n0,9,2.5\n0,19,2.25\n0,2");
  EXPECT_THAT(records_of(*reports), ElementsAre(Record{{"epoch", 0}, {"step", 9}, {"train_loss", 2.5}},
                                                Record{{"epoch", 0}, {"step", 19}, {"train_loss", 2.25}}));
  write("lightning_logs/version_0/metrics.csv",
        "epoch,step,train_loss,val_loss\n0,9,2.5,\n0,19,2.25,\n0,29,2.0,\n0,29,,2.125\n");
  EXPECT_THAT(records_of(*reports), ElementsAre(Record{{"epoch", 0}, {"step", 29}, {"train_loss", 2.0}},
                                                Record{{"epoch", 0}, {"step", 29}, {"val_loss", 2.125}}));
}

TEST_F(FileReports, TrainerStateComesWithEachCheckpoint) {
  const auto reports = trainer_state_reports("out/checkpoint-*/trainer_state.json");
  write("out/checkpoint-10/trainer_state.json",
        R"({"global_step": 10, "log_history": [{"epoch": 0.1, "loss": 3.5, "step": 10}]})");
  EXPECT_THAT(records_of(*reports), ElementsAre(Record{{"epoch", 0.1}, {"loss", 3.5}, {"step", 10}}));
  write("out/checkpoint-20/trainer_state.json", "{\"log_hist");
  fs::last_write_time("out/checkpoint-20/trainer_state.json",
                      fs::file_time_type::clock::now() + std::chrono::seconds(5));
  EXPECT_THAT(records_of(*reports), IsEmpty()) << "half written";
  write("out/checkpoint-20/trainer_state.json",
        R"({"log_history": [{"epoch": 0.1, "loss": 3.5, "step": 10}, {"eval_loss": 3.25, "step": 20}]})");
  fs::last_write_time("out/checkpoint-20/trainer_state.json",
                      fs::file_time_type::clock::now() + std::chrono::seconds(9));
  EXPECT_EQ(records_of(*reports).back(), (Record{{"eval_loss", 3.25}, {"step", 20}}));
}

}  // namespace
}  // namespace scalelaw::adapter
