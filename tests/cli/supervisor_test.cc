#include "cli/supervisor.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit.h"

namespace scalelaw::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

Program shell(const std::string& name, const std::string& script) {
  return {name, {"/bin/sh", "-c", script}, {}};
}

// The supervisor in a process of its own, which is what it is made for.
class Supervised : public testing::Test {
 protected:
  Supervised() : file_(testing::TempDir() + "/supervised." + std::to_string(getpid())) {
    std::filesystem::remove(file_);
  }
  ~Supervised() override {
    if (pid_ > 0) kill(pid_, SIGKILL);
  }

  void start(const std::vector<Program>& programs) {
    pid_ = fork();
    if (pid_ != 0) return;
    _exit(supervise(programs, [this](const std::vector<pid_t>&) { std::ofstream(file_, std::ios::app) << "ready\n"; }));
  }
  int exit_code() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::ifstream stream(file_);
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
  }
  // Waits for so many lines; the test's own time limit ends it if they never come.
  std::vector<std::string> wait_for_lines(size_t count) const {
    while (lines().size() < count) std::this_thread::sleep_for(20ms);
    return lines();
  }
  // Writes `word` when told to end.
  std::string until_told(const std::string& word) const {
    return "trap 'echo " + word + " >> " + file_ + "; exit 0' TERM; while :; do sleep 0.05; done";
  }

  std::string file_;
  pid_t pid_ = 0;
};

TEST_F(Supervised, EndsTheProgramsInReverseOrder) {
  start({shell("server", until_told("server")), shell("worker", until_told("worker"))});
  wait_for_lines(1);
  std::this_thread::sleep_for(300ms);  // for the shells to set their traps
  kill(pid_, SIGTERM);
  EXPECT_EQ(exit_code(), kOk);
  EXPECT_THAT(lines(), ElementsAre("ready", "worker", "server"));
}

TEST_F(Supervised, AProgramThatCannotStartEndsTheOthers) {
  start({shell("server", "exit 4"), shell("worker", until_told("worker"))});
  EXPECT_EQ(exit_code(), kFailed);
}

TEST_F(Supervised, TheNextProgramWaitsUntilTheOneBeforeIsReady) {
  Program server = shell("server", "sleep 0.3; echo listening >> " + file_ + "; sleep 60");
  server.ready = [this] { return !lines().empty(); };
  start({server, shell("worker", "echo worker >> " + file_ + "; sleep 60")});
  std::vector<std::string> order = wait_for_lines(3);
  EXPECT_EQ(order[0], "listening");
  kill(pid_, SIGTERM);
  EXPECT_EQ(exit_code(), kOk);
}

TEST_F(Supervised, AProgramThatIsKilledIsStartedAgain) {
  start({shell("server", "echo $$ >> " + file_ + "; sleep 60")});
  std::vector<std::string> first = wait_for_lines(2);
  std::this_thread::sleep_for(3500ms);  // an end within seconds of the first start is taken for a failure to start
  kill(std::stoi(first[0] == "ready" ? first[1] : first[0]), SIGKILL);
  EXPECT_EQ(wait_for_lines(3).size(), 3u);
  kill(pid_, SIGTERM);
  EXPECT_EQ(exit_code(), kOk);
}

}  // namespace
}  // namespace scalelaw::cli
