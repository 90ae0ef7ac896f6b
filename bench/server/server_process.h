// A real scalelaw-server on loopback, in a directory of its own that goes with it.
#pragma once

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>

extern char** environ;

namespace scalelaw::bench {

class ServerProcess {
 public:
  ServerProcess() {
    std::string name = (std::filesystem::temp_directory_path() / "scalelaw-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    directory = name;
  }
  ~ServerProcess() {
    stop();
    std::filesystem::remove_all(directory);
  }
  /// Returns once it answers; what the directory holds by then is served.
  void start() {
    std::filesystem::remove(directory / "server.addr");
    std::string program = SCALELAW_SERVER_PROGRAM, data = directory.string();
    const char* argv[] = {program.c_str(), "--data", data.c_str(), "--listen", "127.0.0.1:0", nullptr};
    if (posix_spawn(&pid, argv[0], nullptr, nullptr, const_cast<char**>(argv), environ) != 0) std::abort();
    while (!std::filesystem::exists(directory / "server.addr")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::ifstream(directory / "server.addr") >> address;
  }
  void stop() {
    if (pid == 0) return;
    kill(pid, SIGTERM);
    waitpid(pid, nullptr, 0);
    pid = 0;
  }
  /// Seconds of CPU that it has used.
  double cpu_seconds() const {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    text.erase(0, text.rfind(')') + 2);
    std::istringstream fields(text);
    std::string field;
    double user = 0, system = 0;
    for (int i = 0; i < 11; ++i) fields >> field;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  /// Resident memory, MiB.
  double memory_mib() const {
    std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
    double total = 0, resident = 0;
    statm >> total >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
  }

  std::filesystem::path directory;
  std::string address;
  pid_t pid = 0;
};

}  // namespace scalelaw::bench
