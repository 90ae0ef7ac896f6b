#include "trainer/scoring/external_scorer.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trainer/data/picture.h"
#include "trainer/files.h"

namespace scalelaw::trainer {
namespace {

void write_images(const std::string& folder, const torch::Tensor& images, const std::vector<std::string>& captions) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::string lines;
  for (size_t i = 0; i < captions.size(); ++i) {
    const std::string name = fmt::format("{:06}.png", i);
    const std::string file = encode_png(grid_of(images.narrow(0, static_cast<int64_t>(i), 1), 1));
    std::ofstream out(folder + "/" + name, std::ios::binary);
    if (!out.write(file.data(), static_cast<std::streamsize>(file.size())).flush()) {
      throw WriteError(fmt::format("cannot write {}/{}: {}", folder, name, std::strerror(errno)));
    }
    lines += nlohmann::json{{"file_name", name}, {"caption", captions[i]}}.dump() + '\n';
  }
  write_file(folder + "/captions.jsonl", lines);
}

// Runs an argv with standard output in a file; the exit status as waitpid gives it.
int run(const std::vector<std::string>& command, const std::string& output) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw BadRun(fmt::format("score_command: cannot start {}: {}", command[0], std::strerror(error)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string last_line(const std::string& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) last = line;
  }
  return last;
}

}  // namespace

Values external_score(const std::vector<std::string>& command, const std::string& folder, const torch::Tensor& images,
                      const std::vector<std::string>& captions) {
  write_images(folder, images, captions);
  std::vector<std::string> with_folder = command;
  with_folder.push_back(folder);
  const std::string output = folder + "/score.txt";
  const int status = run(with_folder, output);
  if (status != 0) {
    throw std::runtime_error(fmt::format("score_command: {} ended with {} {}", command[0],
                                         WIFEXITED(status) ? "exit status" : "signal",
                                         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)));
  }
  const std::string line = last_line(output);
  nlohmann::json printed = nlohmann::json::parse(line, nullptr, false);
  if (printed.is_number()) printed = {{"score", printed}};
  bool good = printed.is_object() && !printed.empty();
  Values values;
  for (const auto& [name, value] : printed.items()) {
    good = good && value.is_number();
    if (good) values["external_" + name] = value.get<double>();
  }
  if (!good) {
    throw BadRun(
        fmt::format("score_command: the last line that {} prints must be a number or a JSON object of "
                    "numbers, not \"{}\"",
                    command[0], line.substr(0, 200)));
  }
  return values;
}

}  // namespace scalelaw::trainer
