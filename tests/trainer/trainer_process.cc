#include "trainer_process.h"

#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace scalelaw::trainer {
namespace {

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TrainerRun::TrainerRun(nlohmann::json spec) {
  std::string pattern = (std::filesystem::temp_directory_path() / "scalelaw-run-XXXXXX").string();
  directory_ = ::mkdtemp(pattern.data());
  events_path_ = path("events.jsonl");
  spec["version"] = 1;
  std::ofstream(path("spec.json")) << spec;
}

TrainerRun::~TrainerRun() {
  std::filesystem::remove_all(directory_);
}

Ended TrainerRun::run(const std::string& family, const std::function<bool(const std::vector<nlohmann::json>&)>& until,
                      int signal, const std::string& prefix) {
  pid_t child = ::fork();
  if (child == 0) {
    std::string command =
        "cd " + directory_.string() + " && " + prefix + " SCALELAW_SPEC=spec.json SCALELAW_EVENTS=" + events_path_ +
        " SCALELAW_CHECKPOINT_DIR=checkpoints exec " SCALELAW_TRAIN_PATH " " + family + " >out.log 2>err.log";
    ::execl("/bin/bash", "bash", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, until ? WNOHANG : 0) == 0) {
    if (signal != 0 && until(events())) {
      ::kill(child, signal);
      ::waitpid(child, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_all(path("err.log"))};
}

std::vector<nlohmann::json> TrainerRun::events() const {
  std::vector<nlohmann::json> events;
  std::ifstream file(events_path_);
  for (std::string line; std::getline(file, line) && !file.eof();) {
    nlohmann::json event = nlohmann::json::parse(line, nullptr, false);
    EXPECT_TRUE(event.is_object()) << line;
    events.push_back(std::move(event));
  }
  return events;
}

std::vector<nlohmann::json> TrainerRun::events(const std::string& kind) const {
  std::vector<nlohmann::json> chosen;
  for (nlohmann::json& event : events()) {
    if (event["event"] == kind) chosen.push_back(std::move(event));
  }
  return chosen;
}

}  // namespace scalelaw::trainer
