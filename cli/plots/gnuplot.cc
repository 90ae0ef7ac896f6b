#include "cli/plots/gnuplot.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include <fmt/format.h>

extern char** environ;

namespace scalelaw::cli {
namespace {

namespace fs = std::filesystem;

std::string svg(const Figure& figure) {
  return fmt::format(R"(set terminal svg size {},{} font "DejaVu Sans,15" background "#ffffff" enhanced)", figure.width,
                     figure.height);
}
// Twice the pixels of the SVG, for print and sharp screens.
std::string png(const Figure& figure) {
  return fmt::format(
      R"(set terminal pngcairo size {},{} font "DejaVu Sans,15" fontscale 2 linewidth 2 pointscale 2 background "#ffffff" enhanced)",
      2 * figure.width, 2 * figure.height);
}

std::string in_quotes(const std::string& path) {
  std::string text = "'";
  for (char c : path) text += c == '\'' ? std::string("''") : std::string(1, c);
  return text + "'";
}

// Runs `gnuplot SCRIPT`; its standard error is all it says.
absl::Status run_gnuplot(const fs::path& script) {
  int said[2];
  if (pipe2(said, O_CLOEXEC) != 0) return absl::InternalError(fmt::format("pipe: {}", std::strerror(errno)));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, said[1], STDERR_FILENO);
  std::string path = script.string();
  std::string name = "gnuplot";
  char* argv[] = {name.data(), path.data(), nullptr};
  pid_t pid = 0;
  int error = posix_spawnp(&pid, "gnuplot", &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(said[1]);
  if (error != 0) {
    close(said[0]);
    return absl::FailedPreconditionError(
        fmt::format("cannot start gnuplot ({}); plots need it: apt-get install gnuplot-nox", std::strerror(error)));
  }
  std::string words;
  char buffer[4096];
  for (ssize_t n; (n = read(said[0], buffer, sizeof buffer)) > 0;) words.append(buffer, static_cast<size_t>(n));
  close(said[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return absl::InternalError(fmt::format("gnuplot failed: {}", words));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> draw(const std::vector<Figure>& figures, const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return absl::InvalidArgumentError(fmt::format("cannot make {}: {}", folder, error.message()));
  std::vector<std::string> files;
  for (const Figure& figure : figures) {
    fs::path script = fs::path(folder) / fmt::format(".{}.{}.gnuplot", figure.name, getpid());
    std::string text;
    for (const auto& [terminal, ending] : {std::pair{svg(figure), ".svg"}, {png(figure), ".png"}}) {
      std::string file = (fs::path(folder) / (figure.name + ending)).string();
      text += fmt::format("reset\n{}\nset output {}\n{}\nunset output\n", terminal, in_quotes(file), figure.script);
      files.push_back(file);
    }
    std::ofstream(script) << text;
    absl::Status status = run_gnuplot(script);
    fs::remove(script, error);
    if (!status.ok()) return status;
  }
  return files;
}

}  // namespace scalelaw::cli
