// The program itself: what signals and sudden death do to it.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/fake_coordinator.h"
#include "tests/worker/scratch.h"

namespace scalelaw::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Process {
 public:
  Process(std::vector<std::string> arguments, const std::filesystem::path& log) {
    arguments.insert(arguments.begin(), SCALELAW_WORKER_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&files);
  }
  ~Process() {
    if (pid_ > 0) end(SIGKILL);
  }
  void signal(int signal) { ::kill(pid_, signal); }
  /// The exit code; -N for death by signal N.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int end(int number) {
    signal(number);
    return wait();
  }

 private:
  pid_t pid_ = 0;
};

class WorkerProcessTest : public ::testing::Test {
 protected:
  void SetUp() override { coordinator_.start(); }
  void TearDown() override { EXPECT_THAT(coordinator_.violations(), IsEmpty()) << content(log()); }
  std::filesystem::path log() { return scratch_.path() / "worker.log"; }
  std::unique_ptr<Process> start(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {
        "--server", coordinator_.address(), "--slots", "2", "--work-dir", work_dir(), "--grace", "60"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<Process>(arguments, log());
  }
  std::string work_dir() { return (scratch_.path() / "work").string(); }
  void assign(int number, const std::string& script) {
    v1::Assignment assignment;
    assignment.set_attempt_id(number);
    assignment.set_run_id(number);
    assignment.set_attempt_number(1);
    for (const std::string argument : {"sh", "-c", script.c_str()}) assignment.add_command(argument);
    coordinator_.assign(assignment);
  }
  bool prints(int attempt, const std::string& text) {
    return eventually([&] { return coordinator_.output(attempt).find(text) != std::string::npos; });
  }

  Scratch scratch_;
  FakeCoordinator coordinator_;
};

TEST_F(WorkerProcessTest, KilledAgainAndAgainItLosesAndDoublesNothing) {
  auto worker = start();
  assign(1, "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; echo once >> starts; exit 7");
  ASSERT_TRUE(prints(1, "line 1\n"));
  for (int kill = 0; kill < 4; ++kill) {
    EXPECT_EQ(worker->end(SIGKILL), -SIGKILL);
    const int hellos = coordinator_.hellos();
    worker = start();
    ASSERT_TRUE(eventually([&] { return coordinator_.hellos() > hellos; })) << content(log());
  }
  ASSERT_TRUE(eventually([&] { return coordinator_.ended(1); })) << content(log());
  EXPECT_EQ(coordinator_.update(1).exit_code(), 7);
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += fmt::format("line {}\n", i);
  EXPECT_EQ(coordinator_.output(1), expected);
  EXPECT_EQ(content(std::filesystem::path(work_dir()) / "runs/1/starts"), "once\n");
}

TEST_F(WorkerProcessTest, SigtermDrainsAndASecondOneKills) {
  auto polite = start();
  assign(1, "trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(1, "ready"));
  EXPECT_EQ(polite->end(SIGTERM), 0) << content(log());
  EXPECT_EQ(coordinator_.update(1).state(), v1::ATTEMPT_STATE_INTERRUPTED);
  EXPECT_THAT(coordinator_.output(1), HasSubstr("saved"));

  auto stubborn = start();
  assign(2, "trap 'echo not yet' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(prints(2, "ready"));
  stubborn->signal(SIGTERM);
  ASSERT_TRUE(prints(2, "not yet"));
  EXPECT_EQ(stubborn->end(SIGTERM), 1);
  EXPECT_EQ(coordinator_.update(2).exit_code(), -SIGKILL);
}

TEST_F(WorkerProcessTest, WithoutACoordinatorItSaysWhereItLookedAndHowToStartOne) {
  coordinator_.shutdown();
  auto worker = start({"--connect-timeout", "0.3"});
  EXPECT_EQ(worker->wait(), 1);
  EXPECT_THAT(content(log()), HasSubstr("no coordinator at " + coordinator_.address()));
  EXPECT_THAT(content(log()), HasSubstr("scalelaw-server --data DIR --listen " + coordinator_.address()));
}

TEST_F(WorkerProcessTest, TwoWorkersDoNotShareADirectory) {
  auto first = start();
  ASSERT_TRUE(eventually([&] { return coordinator_.hellos() == 1; }));
  auto second = start();
  EXPECT_EQ(second->wait(), 1);
  EXPECT_THAT(content(log()), HasSubstr("another scalelaw-worker uses " + work_dir()));
}

TEST_F(WorkerProcessTest, GpusBecomeSlotsAndAreNamedAndTheirUseIsReported) {
  const std::string libraries = std::filesystem::path(SCALELAW_FAKE_NVML).parent_path();
  ::setenv("LD_LIBRARY_PATH", libraries.c_str(), 1);
  auto worker = std::make_unique<Process>(
      std::vector<std::string>{"--server", coordinator_.address(), "--work-dir", work_dir()}, log());
  ::unsetenv("LD_LIBRARY_PATH");
  assign(1, "echo gpu $CUDA_VISIBLE_DEVICES; sleep 0.5");
  ASSERT_TRUE(eventually([&] { return coordinator_.ended(1); })) << content(log());
  const v1::Hello hello = coordinator_.hello();
  EXPECT_EQ(hello.slots(), 2u);
  EXPECT_EQ(hello.gpu_model(), "NVIDIA Fake 80GB");
  EXPECT_EQ(hello.gpu_memory_bytes(), 80LL << 30);
  EXPECT_THAT(coordinator_.output(1), HasSubstr("gpu 0"));
  const v1::GpuUsage& usage = coordinator_.update(1).gpu();
  EXPECT_EQ(usage.gpus(), 1u);
  EXPECT_EQ(usage.utilisation(), 0.75);
  EXPECT_EQ(usage.peak_memory_bytes(), 1LL << 30);
  EXPECT_GE(usage.seconds(), 0.5);
  EXPECT_NEAR(usage.energy_joules() / usage.seconds(), 300, 5);
  EXPECT_EQ(worker->end(SIGTERM), 0);
}

}  // namespace
}  // namespace scalelaw::worker
