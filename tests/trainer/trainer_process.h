// Runs the real scalelaw-train under the trainer protocol, in a directory of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace scalelaw::trainer {

struct Ended {
  int exit_code = -1;  // −N: died of signal N
  std::string errors;  // standard error
};

class TrainerRun {
 public:
  /// Makes the directory; it is removed with the object.
  explicit TrainerRun(nlohmann::json spec);
  ~TrainerRun();
  TrainerRun(const TrainerRun&) = delete;
  TrainerRun& operator=(const TrainerRun&) = delete;

  /// Starts the family and waits for its end. `until`: asked about the events a few hundred times a second; once true,
  /// `signal` is sent. `prefix`: a shell command before the program (`ulimit -f 100;`).
  Ended run(const std::string& family, const std::function<bool(const std::vector<nlohmann::json>&)>& until = {},
            int signal = 0, const std::string& prefix = "");

  /// Every complete line of the event file; a line that is no JSON object is a failure of the test.
  std::vector<nlohmann::json> events() const;
  std::vector<nlohmann::json> events(const std::string& kind) const;

  std::filesystem::path path(const std::string& name) const { return directory_ / name; }
  void use_events(const std::string& path) { events_path_ = path; }

 private:
  std::filesystem::path directory_;
  std::string events_path_;
};

}  // namespace scalelaw::trainer
