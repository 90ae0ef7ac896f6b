#include "worker/worker.h"

#include <signal.h>

#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/fake_coordinator.h"
#include "tests/worker/scratch.h"
#include "worker/executor/local.h"
#include "worker/executor/process_table.h"

namespace scalelaw::worker {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// A worker on a thread of its own; leaving the scope is its sudden death.
class RunningWorker {
 public:
  explicit RunningWorker(WorkerOptions options) {
    auto executor = std::make_unique<LocalExecutor>(options.program, 4);
    auto opened = Worker::open(std::move(options), std::move(executor));
    EXPECT_TRUE(opened.ok()) << opened.status();
    worker_ = *std::move(opened);
    thread_ = std::thread([this] { result_ = worker_->run(); });
  }
  ~RunningWorker() {
    worker_->halt();
    if (thread_.joinable()) thread_.join();
  }
  Worker* operator->() { return worker_.get(); }
  absl::Status result() {
    thread_.join();
    return result_;
  }

 private:
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
  absl::Status result_;
};

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override { coordinator_.start(); }
  void TearDown() override {
    EXPECT_THAT(coordinator_.violations(), IsEmpty());
    for (const auto& [mark, pids] : survivors()) {
      ADD_FAILURE() << "a trainer survives: " << mark;
      for (const pid_t pid : pids) ::kill(pid, SIGKILL);
    }
  }
  std::map<std::string, std::vector<pid_t>> survivors() {
    std::map<std::string, std::vector<pid_t>> found;
    for (int attempt = 1; attempt < 10; ++attempt) {
      const std::string mark = fmt::format("SCALELAW_EVENTS={}", (attempt_dir(attempt) / "events.jsonl").string());
      if (auto pids = processes_with_environment(mark); !pids.empty()) found[mark] = std::move(pids);
    }
    return found;
  }
  WorkerOptions options() {
    WorkerOptions options;
    options.server = coordinator_.address();
    options.work_dir = scratch_.path();
    options.name = "ada";
    options.labels = {{"room", "12"}};
    options.program = SCALELAW_WORKER_PROGRAM;
    options.grace = 60s;
    options.first_retry = 10ms;
    options.longest_retry = 50ms;
    return options;
  }
  std::filesystem::path attempt_dir(std::int64_t attempt) {
    return scratch_.path() / "attempts" / std::to_string(attempt);
  }
  std::filesystem::path run_dir(int run) { return scratch_.path() / "runs" / std::to_string(run); }
  // Attempt n of run n.
  void assign(int number, const std::string& script) { assign_program(number, {"sh", "-c", script}); }
  void assign_program(int number, const std::vector<std::string>& argv, int run = 0) {
    v1::Assignment assignment;
    assignment.set_attempt_id(number);
    assignment.set_run_id(run == 0 ? number : run);
    assignment.set_attempt_number(run == 0 ? 1 : 2);
    assignment.set_slots(1);
    for (const std::string& argument : argv) assignment.add_command(argument);
    coordinator_.assign(assignment);
  }
  v1::AttemptUpdate end_of(int attempt) {
    EXPECT_TRUE(eventually([&] { return coordinator_.ended(attempt); })) << "attempt " << attempt;
    return coordinator_.update(attempt);
  }
  bool prints(int attempt, const std::string& text) {
    return eventually([&] { return content(attempt_dir(attempt) / "output.log").find(text) != std::string::npos; });
  }
  std::vector<double> losses(int attempt) {
    std::vector<double> losses;
    for (const v1::Record& record : coordinator_.delivered(attempt, v1::RECORD_SOURCE_EVENTS).records) {
      if (record.has_metrics()) losses.push_back(record.metrics().values().at("loss"));
    }
    return losses;
  }
  static std::string training(int steps, const std::string& pause = "") {
    return fmt::format(
        R"(i=0; while [ $i -lt {} ]; do echo step $i; echo '{{"event":"metrics","step":'$i',"values":{{"loss":'$i'}}}}' >> $SCALELAW_EVENTS; i=$((i+1)); {} true; done)",
        steps, pause);
  }
  static std::vector<double> up_to(int n) {
    std::vector<double> numbers;
    for (int i = 0; i < n; ++i) numbers.push_back(i);
    return numbers;
  }

  Scratch scratch_;
  FakeCoordinator coordinator_;
};

TEST_F(WorkerTest, SaysWhoItIsAndStaysInTouch) {
  RunningWorker worker(options());
  ASSERT_TRUE(eventually([&] { return coordinator_.heartbeats() > 2; }));
  const v1::Hello hello = coordinator_.hello();
  EXPECT_EQ(hello.name(), "ada");
  EXPECT_EQ(hello.slots(), 4u);
  EXPECT_EQ(hello.labels().at("room"), "12");
  EXPECT_EQ(hello.worker_uid().size(), 32u);
  EXPECT_FALSE(hello.host().empty());
}

TEST_F(WorkerTest, ARunIsTrainedAndEverythingItReportsArrives) {
  RunningWorker worker(options());
  assign(1, training(20) + "; echo no event >> $SCALELAW_EVENTS");
  const v1::AttemptUpdate end = end_of(1);
  EXPECT_EQ(end.state(), v1::ATTEMPT_STATE_SUCCEEDED);
  EXPECT_EQ(losses(1), up_to(20));
  EXPECT_THAT(coordinator_.delivered(1, v1::RECORD_SOURCE_EVENTS).records.back().malformed(), HasSubstr("no event"));
  EXPECT_THAT(coordinator_.output(1), StartsWith("step 0\nstep 1\n"));
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(attempt_dir(1)); })) << "done";
  EXPECT_TRUE(std::filesystem::exists(run_dir(1) / "checkpoints"));
}

TEST_F(WorkerTest, RunningIsToldWhileItRuns) {
  RunningWorker worker(options());
  assign(1, "while [ ! -e go ]; do sleep 0.01; done");
  EXPECT_TRUE(eventually([&] { return coordinator_.update(1).state() == v1::ATTEMPT_STATE_RUNNING; }));
  append(run_dir(1) / "go", "");
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_SUCCEEDED);
}

TEST_F(WorkerTest, EndsAreToldApart) {
  RunningWorker worker(options());
  assign(1, "echo out of luck >&2; exit 3");
  assign(2, "exit 65");
  assign(3, "exit 75");
  assign(4, "kill -ABRT $$");
  assign_program(5, {"/no/such/trainer"});
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_EQ(end_of(1).exit_code(), 3);
  EXPECT_THAT(end_of(1).reason(), HasSubstr("out of luck"));
  EXPECT_FALSE(end_of(1).permanent());
  EXPECT_TRUE(end_of(2).permanent());
  EXPECT_EQ(end_of(3).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  EXPECT_EQ(end_of(4).exit_code(), -SIGABRT);
  EXPECT_TRUE(end_of(5).permanent());
  EXPECT_THAT(end_of(5).reason(), HasSubstr("No such file or directory"));
}

TEST_F(WorkerTest, TheBuiltInTrainerIsTheOneBesideTheWorker) {
  const auto bin = scratch_.path() / "bin";
  std::filesystem::create_directories(bin);
  std::filesystem::create_symlink(SCALELAW_WORKER_PROGRAM, bin / "scalelaw-worker");
  append(bin / "scalelaw-train", "#!/bin/sh\necho built in $*\n");
  std::filesystem::permissions(bin / "scalelaw-train", std::filesystem::perms::owner_all);
  WorkerOptions beside = options();
  beside.program = bin / "scalelaw-worker";
  RunningWorker worker(beside);
  assign_program(1, {"scalelaw-train", "var"});
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_SUCCEEDED);
  EXPECT_EQ(coordinator_.output(1), "built in var\n");
}

TEST_F(WorkerTest, AcknowledgementsThatGetLostCostNothingAndDoubleNothing) {
  RunningWorker worker(options());
  assign(1, training(60, "sleep 0.01;"));
  assign(2, training(60, "sleep 0.01;"));
  ASSERT_TRUE(eventually([&] { return coordinator_.update(2).state() == v1::ATTEMPT_STATE_RUNNING; }));
  coordinator_.lose_acknowledgement_of_every(3);
  end_of(1);
  end_of(2);
  EXPECT_EQ(losses(1), up_to(60));
  EXPECT_EQ(losses(2), up_to(60));
  const std::string output = coordinator_.output(1);
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 60);
  EXPECT_GT(coordinator_.hellos(), 2);
}

TEST_F(WorkerTest, WhileTheCoordinatorIsAwayTrainersGoOnAndNothingIsLost) {
  RunningWorker worker(options());
  assign(1, training(50, "[ $i = 10 ] && while [ ! -e away ]; do sleep 0.01; done;"));
  ASSERT_TRUE(eventually([&] { return losses(1).size() > 5; }));
  coordinator_.shutdown();
  append(run_dir(1) / "away", "");
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(attempt_dir(1) / "exit.json"); }));
  EXPECT_LT(losses(1).size(), 50u);
  coordinator_.start();
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_SUCCEEDED);
  EXPECT_EQ(losses(1), up_to(50));
}

TEST_F(WorkerTest, TheEndIsToldOnlyAfterEverythingIsAcknowledged) {
  RunningWorker worker(options());
  coordinator_.hold(true);
  assign(1, training(20));
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(attempt_dir(1) / "exit.json"); }));
  std::this_thread::sleep_for(100ms);
  EXPECT_FALSE(coordinator_.ended(1));
  coordinator_.hold(false);
  const v1::AttemptUpdate end = end_of(1);
  EXPECT_EQ(end.events_end(), coordinator_.delivered(1, v1::RECORD_SOURCE_EVENTS).committed);
  EXPECT_EQ(losses(1), up_to(20));
}

TEST_F(WorkerTest, ALaterWorkerTakesUpTheTrainersOfADeadOne) {
  std::string uid;
  {
    RunningWorker worker(options());
    assign(1, training(40, "[ $i = 10 ] && while [ ! -e go ]; do sleep 0.01; done;"));
    assign(2, "echo bye; exit 9");
    ASSERT_TRUE(eventually([&] { return losses(1).size() > 5; }));
    uid = coordinator_.hello().worker_uid();
  }
  append(run_dir(1) / "go", "");
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(attempt_dir(1) / "exit.json"); }));
  RunningWorker later(options());
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_SUCCEEDED);
  EXPECT_EQ(losses(1), up_to(40));
  EXPECT_EQ(end_of(2).exit_code(), 9);
  EXPECT_EQ(coordinator_.output(2), "bye\n");
  EXPECT_EQ(coordinator_.hello().worker_uid(), uid);
}

TEST_F(WorkerTest, ALaterWorkerKillsWhatWasFencedMeanwhileAndDeliversNothingOfIt) {
  {
    RunningWorker worker(options());
    assign(1, "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; sleep 1000");
    ASSERT_TRUE(eventually([&] { return coordinator_.output(1) == "one\n"; }));
  }
  coordinator_.fence(1);
  append(run_dir(1) / "go", "");
  ASSERT_TRUE(prints(1, "two"));
  RunningWorker later(options());
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(attempt_dir(1)); }));
  EXPECT_EQ(coordinator_.output(1), "one\n");
  EXPECT_FALSE(coordinator_.ended(1));
}

TEST_F(WorkerTest, AFencedAttemptIsKilledAtOnce) {
  RunningWorker worker(options());
  assign(1, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(1, "ready"));
  coordinator_.stop(1, 0, /*fenced=*/true);
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(attempt_dir(1)); }));
  EXPECT_FALSE(coordinator_.ended(1));
}

TEST_F(WorkerTest, ARunWhoseLastReportsWereRefusedIsNotResumedPastThem) {
  const std::string script = "ls $SCALELAW_CHECKPOINT_DIR; echo looked; while [ ! -e go ]; do sleep 0.01; done; " +
                             training(10) + "; touch $SCALELAW_CHECKPOINT_DIR/step10; exit 75";
  {
    RunningWorker worker(options());
    assign(1, script);
    ASSERT_TRUE(eventually([&] { return coordinator_.update(1).state() == v1::ATTEMPT_STATE_RUNNING; }));
  }
  // While nobody delivers, it goes on; meanwhile the coordinator gives it up.
  append(run_dir(1) / "go", "");
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(attempt_dir(1) / "exit.json"); }));
  coordinator_.fence(1);
  RunningWorker later(options());
  ASSERT_TRUE(eventually([&] { return !std::filesystem::exists(attempt_dir(1)); }));
  assign_program(2, {"sh", "-c", script}, /*run=*/1);
  EXPECT_EQ(end_of(2).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  EXPECT_THAT(coordinator_.output(2), StartsWith("looked\n"));
}

TEST_F(WorkerTest, AnAcknowledgementMayFenceToo) {
  RunningWorker worker(options());
  assign(1, training(1000000, "sleep 0.01;"));
  ASSERT_TRUE(eventually([&] { return losses(1).size() > 2; }));
  coordinator_.fence(1);
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(attempt_dir(1)); }));
}

TEST_F(WorkerTest, ACancelledRunMaySaveItsCheckpoint) {
  RunningWorker worker(options());
  assign(1, "trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(1, "ready"));
  coordinator_.stop(1, 60);
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_CANCELLED);
  EXPECT_EQ(end_of(1).exit_code(), 75);
  EXPECT_THAT(coordinator_.output(1), HasSubstr("saved"));
}

TEST_F(WorkerTest, ACancelledRunThatIgnoresItIsKilled) {
  RunningWorker worker(options());
  assign(1, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(1, "ready"));
  coordinator_.stop(1, 0.1);
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_CANCELLED);
  EXPECT_EQ(end_of(1).exit_code(), -SIGKILL);
}

TEST_F(WorkerTest, AnAttemptItDoesNotKnowIsLost) {
  RunningWorker worker(options());
  coordinator_.stop(9, 0);
  EXPECT_EQ(end_of(9).state(), v1::ATTEMPT_STATE_LOST);
}

TEST_F(WorkerTest, DrainingStopsTheTrainersAndDeliversBeforeItEnds) {
  RunningWorker worker(options());
  assign(1, "trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(1, "ready"));
  worker->drain();
  EXPECT_TRUE(worker.result().ok());
  EXPECT_TRUE(coordinator_.draining());
  EXPECT_EQ(coordinator_.update(1).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  EXPECT_THAT(coordinator_.output(1), HasSubstr("saved"));
}

TEST_F(WorkerTest, ADrainingWorkerTakesNothingNew) {
  RunningWorker worker(options());
  assign(1, "trap 'while [ ! -e go ]; do sleep 0.01; done; exit 75' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(1, "ready"));
  worker->drain();
  ASSERT_TRUE(eventually([&] { return coordinator_.draining(); }));
  assign(2, "echo must not run");
  EXPECT_EQ(end_of(2).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  append(run_dir(1) / "go", "");
  EXPECT_TRUE(worker.result().ok());
  EXPECT_EQ(coordinator_.output(2), "");
}

TEST_F(WorkerTest, KillingEndsTrainersThatIgnoreTheDrain) {
  RunningWorker worker(options());
  assign(1, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(1, "ready"));
  worker->drain();
  worker->kill();
  EXPECT_EQ(worker.result().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(coordinator_.update(1).state(), v1::ATTEMPT_STATE_INTERRUPTED);
}

TEST_F(WorkerTest, WhatADrainCouldNotDeliverIsDeliveredByTheNextWorker) {
  {
    WorkerOptions impatient = options();
    impatient.drain_delivery = 100ms;
    RunningWorker worker(impatient);
    assign(1, "trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 0.01; done");
    ASSERT_TRUE(prints(1, "ready"));
    coordinator_.shutdown();
    worker->drain();
    EXPECT_TRUE(worker.result().ok());
  }
  coordinator_.start();
  RunningWorker later(options());
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  EXPECT_THAT(coordinator_.output(1), HasSubstr("saved"));
}

TEST_F(WorkerTest, WithoutACoordinatorItGivesUpOnlyWhenAskedTo) {
  coordinator_.shutdown();
  WorkerOptions impatient = options();
  impatient.connect_timeout = 200ms;
  RunningWorker gives_up(impatient);
  const absl::Status result = gives_up.result();
  EXPECT_EQ(result.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.message()), HasSubstr(coordinator_.address()));
}

TEST_F(WorkerTest, ACoordinatorThatComesLaterIsFound) {
  coordinator_.shutdown();
  RunningWorker worker(options());
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(coordinator_.hellos(), 0);
  coordinator_.start();
  EXPECT_TRUE(eventually([&] { return coordinator_.hellos() == 1; }));
}

TEST_F(WorkerTest, AnAssignmentThatCannotBePreparedIsTheMachinesFailure) {
  RunningWorker worker(options());
  ASSERT_TRUE(eventually([&] { return coordinator_.hellos() == 1; }));
  std::filesystem::remove_all(scratch_.path() / "runs");
  append(scratch_.path() / "runs", "a file in the way");
  assign(1, "true");
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_TRUE(end_of(1).infrastructure());
  EXPECT_FALSE(end_of(1).permanent());
  EXPECT_THAT(end_of(1).reason(), HasSubstr("worker ada"));
}

TEST_F(WorkerTest, ATrainerThatPrintsGarbageAtFullSpeedStarvesNobody) {
  RunningWorker worker(options());
  assign(1, "yes garbage | head -c 300000000 & yes '{\"event\":' | head -c 100000000 >> $SCALELAW_EVENTS & sleep 1000");
  assign(2, training(50, "sleep 0.01;"));
  end_of(2);
  EXPECT_EQ(losses(2), up_to(50));
  coordinator_.stop(1, 0.01);
  EXPECT_TRUE(
      eventually([&] { return std::filesystem::exists(attempt_dir(1) / "exit.json") || coordinator_.ended(1); }));
  // Its tail may be long; what matters is that a fence ends even that at once.
  coordinator_.stop(1, 0, /*fenced=*/true);
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(attempt_dir(1)); }));
}

TEST_F(WorkerTest, ACommandThatIsNotAllowedIsNotRun) {
  WorkerOptions careful = options();
  careful.allowed_commands = {{"sh", "-c", "echo *"}};
  RunningWorker worker(careful);
  assign_program(1, {"sh", "-c", "touch ran"});
  assign_program(2, {"sh", "-c", "echo fine"});
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_FAILED);
  EXPECT_TRUE(end_of(1).permanent());
  EXPECT_THAT(end_of(1).reason(), HasSubstr("--allow-command"));
  EXPECT_FALSE(std::filesystem::exists(run_dir(1) / "ran"));
  EXPECT_EQ(end_of(2).state(), v1::ATTEMPT_STATE_SUCCEEDED);
}

TEST_F(WorkerTest, LimitsHoldForTheTrainer) {
  WorkerOptions limited = options();
  limited.limits = {{"nofile", 77}};
  RunningWorker worker(limited);
  assign(1, "ulimit -n; sleep 0.1");
  EXPECT_EQ(end_of(1).state(), v1::ATTEMPT_STATE_SUCCEEDED);
  EXPECT_THAT(coordinator_.output(1), HasSubstr("77"));
}

}  // namespace
}  // namespace scalelaw::worker
