#include "cli/find_program.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <vector>

namespace scalelaw::cli {

namespace fs = std::filesystem;

// Beside this program first: a build and its installed twin must not mix.
std::string find_program(const std::string& name) {
  std::error_code error;
  fs::path own = fs::read_symlink("/proc/self/exe", error);
  std::vector<fs::path> folders = {own.parent_path()};
  const char* path = std::getenv("PATH");
  std::istringstream parts(path != nullptr ? path : "");
  for (std::string folder; std::getline(parts, folder, ':');) folders.emplace_back(folder);
  for (const fs::path& folder : folders)
    if (access((folder / name).c_str(), X_OK) == 0) return (folder / name).string();
  return "";
}

}  // namespace scalelaw::cli
