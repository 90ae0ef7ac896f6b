#include "worker/executor/local.h"

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/scratch.h"
#include "worker/executor/lease.h"
#include "worker/executor/process_table.h"
#include "worker/executor/supervisor.h"
#include "worker/work_dir.h"

namespace scalelaw::worker {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Phase = Executor::Phase;

// A worker's directory with a lease, in which shell scripts are trainers.
class LocalExecutorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(work_dir_.ok()) << work_dir_.status();
    lease_for(1h);
  }
  void TearDown() override {
    LocalExecutor executor(SCALELAW_WORKER_PROGRAM);
    for (const AttemptDir& dir : work_dir_->attempts()) {
      executor.stop(dir, 0ms);
      EXPECT_TRUE(eventually([&] { return executor.observe(dir).phase == Phase::kEnded; }));
    }
  }
  void lease_for(std::chrono::milliseconds time) {
    ASSERT_TRUE(write_lease(work_dir_->lease(), LeaseClock::now() + time).ok());
  }
  AttemptDir prepare(std::vector<std::string> argv, int run = 1, int attempt = 1) {
    v1::Assignment assignment;
    assignment.set_attempt_id(attempt);
    assignment.set_run_id(run);
    assignment.set_attempt_number(attempt);
    Launch launch;
    launch.attempt = AttemptId{attempt};
    launch.run = RunId{run};
    launch.attempt_number = attempt;
    launch.run_fingerprint = run_fingerprint(assignment);
    launch.argv = std::move(argv);
    launch.run_directory = work_dir_->run_directory(launch.run);
    launch.grace_seconds = 0.2;
    const AttemptDir dir = work_dir_->attempt(launch.attempt);
    launch.environment = {{"SCALELAW_EVENTS", dir.events()}, {"SCALELAW_SPEC", dir.spec()}};
    EXPECT_TRUE(work_dir_->prepare(assignment, launch).ok());
    return dir;
  }
  AttemptDir start(const std::string& script, int run = 1, int attempt = 1) {
    const AttemptDir dir = prepare({"sh", "-c", script}, run, attempt);
    EXPECT_TRUE(executor_.start(dir).ok());
    return dir;
  }
  Exit wait(const AttemptDir& dir) { return wait(executor_, dir); }
  static Exit wait(LocalExecutor& executor, const AttemptDir& dir) {
    Executor::Observation seen;
    EXPECT_TRUE(eventually([&] { return (seen = executor.observe(dir)).phase == Phase::kEnded; }));
    return seen.exit.value_or(Exit{.code = -1000});
  }
  bool prints(const AttemptDir& dir, const std::string& text) {
    return eventually([&] { return content(dir.output()).find(text) != std::string::npos; });
  }
  // Of a process that printed its number to a file of the run's directory.
  pid_t pid_in(const std::string& name, int run = 1) {
    const auto file = work_dir_->run_directory(RunId{run}) / name;
    EXPECT_TRUE(eventually([&] { return content(file).find('\n') != std::string::npos; }));
    return std::stoi(content(file));
  }
  Supervised supervised(const AttemptDir& dir) {
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(dir.supervisor()); }));
    return *supervised_from_json(content(dir.supervisor()));
  }

  Scratch scratch_;
  absl::StatusOr<WorkDir> work_dir_ = WorkDir::open(scratch_.path());
  LocalExecutor executor_{SCALELAW_WORKER_PROGRAM};
};

TEST_F(LocalExecutorTest, ExitCodesAndSignalsAreSeen) {
  EXPECT_EQ(wait(start("exit 0", 1, 1)).code, 0);
  EXPECT_EQ(wait(start("exit 75", 2, 2)).code, 75);
  EXPECT_EQ(wait(start("kill -SEGV $$", 3, 3)).code, -SIGSEGV);
}

TEST_F(LocalExecutorTest, TheTrainerRunsInItsRunDirectoryWithItsEnvironmentAndNoInput) {
  const AttemptDir dir = start("pwd; cat; cat $SCALELAW_SPEC; echo to stderr >&2; echo '{}' >> $SCALELAW_EVENTS");
  EXPECT_EQ(wait(dir).code, 0);
  EXPECT_THAT(content(dir.output()), HasSubstr(work_dir_->run_directory(RunId{1}).string() + "\n"));
  EXPECT_THAT(content(dir.output()), HasSubstr("\"version\": 1"));
  EXPECT_THAT(content(dir.output()), HasSubstr("to stderr"));
  EXPECT_EQ(content(dir.events()), "{}\n");
}

TEST_F(LocalExecutorTest, AProgramThatDoesNotExistFailsForGoodWithItsArgv) {
  const AttemptDir dir = prepare({"/no/such/program", "--fast"});
  ASSERT_TRUE(executor_.start(dir).ok());
  const Exit exit = wait(dir);
  EXPECT_EQ(exit.cause, Exit::Cause::kPermanent);
  EXPECT_THAT(exit.error, HasSubstr("No such file or directory"));
  EXPECT_THAT(exit.error, HasSubstr("\"/no/such/program\", \"--fast\""));
}

TEST_F(LocalExecutorTest, NothingOfAnAttemptSurvivesIt) {
  // A child in the group, and one that left the session to hide.
  const AttemptDir dir = start(
      "sleep 1000 & echo $! > child; setsid sh -c 'echo $$ > daemon; exec sleep 1000' & "
      "while [ ! -s daemon ]; do sleep 0.01; done; exit 3");
  EXPECT_EQ(wait(dir).code, 3);
  EXPECT_FALSE(find_process(pid_in("child")));
  EXPECT_FALSE(find_process(pid_in("daemon")));
}

TEST_F(LocalExecutorTest, ATrainerMaySaveACheckpointWhenItIsStopped) {
  const AttemptDir dir = start("trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(dir, "ready"));
  EXPECT_TRUE(executor_.stop(dir, 60s));
  EXPECT_EQ(wait(dir).code, 75);
  EXPECT_THAT(content(dir.output()), HasSubstr("saved"));
}

TEST_F(LocalExecutorTest, ATrainerThatIgnoresSigtermIsKilledAfterTheGraceTime) {
  const AttemptDir dir = start("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(dir, "ready"));
  EXPECT_TRUE(executor_.stop(dir, 100ms));
  EXPECT_EQ(wait(dir).code, -SIGKILL);
}

TEST_F(LocalExecutorTest, ASecondStopShortensTheGraceTime) {
  const AttemptDir dir = start("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(dir, "ready"));
  EXPECT_TRUE(executor_.stop(dir, 1h));
  EXPECT_TRUE(executor_.stop(dir, 0ms));
  EXPECT_EQ(wait(dir).code, -SIGKILL);
}

TEST_F(LocalExecutorTest, AStopRightAfterTheStartIsNotLost) {
  const AttemptDir dir = start("sleep 1000");
  EXPECT_TRUE(eventually([&] { return executor_.stop(dir, 100ms); }));
  EXPECT_NE(wait(dir).code, 0);
}

TEST_F(LocalExecutorTest, ALaterWorkerFindsTheTrainerAndItsEnd) {
  const AttemptDir running = start("echo ready; while [ ! -e go ]; do sleep 0.01; done; exit 5", 1, 1);
  const AttemptDir over = start("exit 6", 2, 2);
  ASSERT_TRUE(prints(running, "ready"));
  wait(over);

  LocalExecutor later(SCALELAW_WORKER_PROGRAM);
  EXPECT_EQ(later.observe(running).phase, Phase::kRunning);
  EXPECT_EQ(wait(later, over).code, 6);
  append(work_dir_->run_directory(RunId{1}) / "go", "");
  EXPECT_EQ(wait(later, running).code, 5);
}

TEST_F(LocalExecutorTest, ALaterWorkerCanStopTheTrainer) {
  const AttemptDir dir = start("trap 'exit 75' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(dir, "ready"));
  LocalExecutor later(SCALELAW_WORKER_PROGRAM);
  EXPECT_TRUE(later.stop(dir, 60s));
  EXPECT_EQ(wait(later, dir).code, 75);
}

TEST_F(LocalExecutorTest, AnAttemptIsStartedOnceHoweverOftenItIsAsked) {
  const AttemptDir dir = prepare({"sh", "-c", "echo once >> starts; sleep 0.2"});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(LocalExecutor(SCALELAW_WORKER_PROGRAM).start(dir).ok());
  LocalExecutor later(SCALELAW_WORKER_PROGRAM);
  EXPECT_EQ(wait(later, dir).code, 0);
  ASSERT_TRUE(LocalExecutor(SCALELAW_WORKER_PROGRAM).start(dir).ok());
  EXPECT_EQ(wait(later, dir).code, 0);
  EXPECT_EQ(content(work_dir_->run_directory(RunId{1}) / "starts"), "once\n");
}

TEST_F(LocalExecutorTest, AnAttemptWhoseStartWasLostIsStartedByALaterWorker) {
  const AttemptDir dir = prepare({"sh", "-c", "exit 4"});
  EXPECT_EQ(wait(dir).code, 4);
}

TEST_F(LocalExecutorTest, WithoutAWorkerTheTrainerIsStoppedWhenTheLeaseEnds) {
  lease_for(1500ms);
  const AttemptDir dir = start("trap 'exit 75' TERM; while :; do sleep 0.01; done");
  const Exit exit = wait(dir);
  EXPECT_EQ(exit.code, 75);
  EXPECT_EQ(exit.cause, Exit::Cause::kStopped);
}

TEST_F(LocalExecutorTest, ARenewedLeaseKeepsTheTrainer) {
  lease_for(200ms);
  const AttemptDir dir = start("sleep 1; exit 0");
  lease_for(1h);
  const Exit exit = wait(dir);
  EXPECT_EQ(exit.code, 0);
  EXPECT_EQ(exit.cause, Exit::Cause::kTrainer);
}

TEST_F(LocalExecutorTest, AnOrphanThatIgnoresSigtermIsKilledToo) {
  lease_for(2s);  // Long enough for the trap to be set.
  const AttemptDir dir = start("trap '' TERM; sleep 1000 & echo $! > child; while :; do sleep 0.01; done");
  EXPECT_EQ(wait(dir).code, -SIGKILL);
  EXPECT_FALSE(find_process(pid_in("child")));
}

TEST_F(LocalExecutorTest, WhenTheSupervisorIsKilledNothingGoesOnUnseen) {
  const AttemptDir dir = start("sleep 1000 & echo $! > child; echo $$ > trainer; wait");
  const pid_t child = pid_in("child");
  const pid_t trainer = pid_in("trainer");
  ::kill(supervised(dir).supervisor.pid, SIGKILL);
  const Exit exit = wait(dir);
  EXPECT_EQ(exit.cause, Exit::Cause::kInfrastructure);
  EXPECT_THAT(exit.error, HasSubstr("supervisor"));
  EXPECT_TRUE(eventually([&] { return !find_process(child) && !find_process(trainer); }));
}

TEST_F(LocalExecutorTest, TwoTrainersAreNeverInOneRunDirectory) {
  const std::string trainer =
      "if mkdir alone; then :; else echo not alone >> trouble; fi; echo ready; "
      "trap 'sleep 0.3; rmdir alone; exit 75' TERM; while [ ! -e go ]; do sleep 0.01; done; rmdir alone";
  const AttemptDir first = start(trainer, 1, 1);
  ASSERT_TRUE(prints(first, "ready"));
  const AttemptDir second = start(trainer, 1, 2);
  std::this_thread::sleep_for(200ms);
  EXPECT_EQ(content(second.output()), "") << "waits for the first to end";
  EXPECT_TRUE(executor_.stop(first, 60s));
  EXPECT_EQ(wait(first).code, 75);
  ASSERT_TRUE(prints(second, "ready"));
  append(work_dir_->run_directory(RunId{1}) / "go", "");
  EXPECT_EQ(wait(second).code, 0);
  EXPECT_FALSE(std::filesystem::exists(work_dir_->run_directory(RunId{1}) / "trouble"));
}

TEST_F(LocalExecutorTest, AStoppedTrainerStillHearsOfItsEnd) {
  const AttemptDir dir = start("trap 'exit 75' TERM; echo ready; kill -STOP $$; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(dir, "ready"));
  EXPECT_TRUE(executor_.stop(dir, 60s));
  EXPECT_EQ(wait(dir).code, 75);
}

TEST(Lease, IsReadBackAndADamagedOneIsNone) {
  Scratch scratch;
  const auto file = scratch.path() / "lease";
  EXPECT_FALSE(read_lease(file));
  const auto deadline = LeaseClock::now() + 5s;
  ASSERT_TRUE(write_lease(file, deadline).ok());
  ASSERT_TRUE(read_lease(file));
  EXPECT_LT(std::chrono::abs(*read_lease(file) - deadline), 2ms);
  std::filesystem::resize_file(file, 10);
  EXPECT_FALSE(read_lease(file));
}

TEST(ProcessTable, AReusedNumberIsAnotherProcess) {
  auto self = find_process(::getpid());
  ASSERT_TRUE(self);
  EXPECT_TRUE(send_signal(*self, 0, 0));
  ++self->start;
  EXPECT_FALSE(send_signal(*self, 0, 0));
  EXPECT_FALSE(find_process(0));
}

}  // namespace
}  // namespace scalelaw::worker
