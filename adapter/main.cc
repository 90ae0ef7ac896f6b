// scalelaw-adapt: runs a program that knows nothing of the trainer protocol, and speaks the protocol for it.
//
// The worker starts it as it starts any trainer. It starts the program in its own process group, so that a stop reaches
// both; passes the program's output on; turns what the program writes into events; and ends when the program has ended:
// with 75 if it was told to stop, 65 if a metric was not finite, else as the program did.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "adapter/records.h"
#include "adapter/reporter.h"

namespace {

using namespace scalelaw::adapter;

constexpr int kPollMs = 500;
// Exit codes of the trainer protocol.
constexpr int kNeverAgain = 65;
constexpr int kResumeMe = 75;

struct Options {
  std::vector<std::string> output;
  std::string jsonl, csv, tensorboard, trainer_state;
  Meaning meaning;
  std::vector<std::string> artifacts;
  std::vector<std::string> command;
};

volatile sig_atomic_t stopped = 0;
void on_stop(int) {
  stopped = 1;
}

int fail(const std::string& message) {
  fmt::print(stderr, "scalelaw-adapt: {}\n", message);
  std::fflush(stderr);
  return kNeverAgain;
}
int fail(const absl::Status& status) {
  return fail(std::string(status.message()));
}

std::string read_file(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Appends to $SCALELAW_EVENTS, or to nothing where the program is run by hand.
class EventFile {
 public:
  EventFile() {
    if (const char* path = std::getenv("SCALELAW_EVENTS"); path != nullptr)
      fd_ = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  }
  ~EventFile() {
    if (fd_ >= 0) close(fd_);
  }
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;
  void append(std::string_view text) const {
    while (fd_ >= 0 && !text.empty()) {
      const ssize_t n = write(fd_, text.data(), text.size());
      if (n < 0 && errno != EINTR) {
        // A full disk: the worker waits for space as well.
        sleep(1);
        continue;
      }
      if (n > 0) text.remove_prefix(static_cast<size_t>(n));
    }
  }

 private:
  int fd_ = -1;
};

/// The program's pid and the end of a pipe that its output comes from.
struct Child {
  pid_t pid = -1;
  int output = -1;
};

absl::StatusOr<Child> start(const std::vector<std::string>& command) {
  int ends[2], failed[2];
  if (pipe2(ends, O_CLOEXEC) != 0 || pipe2(failed, O_CLOEXEC) != 0) return absl::InternalError("no pipe");
  const pid_t pid = fork();
  if (pid < 0) return absl::InternalError("no process");
  if (pid == 0) {
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    execvp(argv[0], argv.data());
    const int error = errno;
    (void)!write(failed[1], &error, sizeof(error));
    _exit(127);
  }
  close(ends[1]);
  close(failed[1]);
  int error = 0;
  const bool broken = read(failed[0], &error, sizeof(error)) == sizeof(error);
  close(failed[0]);
  if (broken)
    return absl::NotFoundError(
        fmt::format("{}: {}", command[0], std::error_code(error, std::generic_category()).message()));
  return Child{pid, ends[0]};
}

class Adapter {
 public:
  Adapter(Reporter reporter, std::vector<std::unique_ptr<Reports>> reports, OutputReports* output)
      : reporter_(std::move(reporter)), reports_(std::move(reports)), output_(output) {}

  /// Until the program has ended; its exit code, or this one's own.
  int follow(const Child& child) {
    bool open = true;
    int status = 0, verdict = 0;
    while (true) {
      // A program may close its output and go on.
      if (!open) poll(nullptr, 0, kPollMs);
      open = open && pass_on(child.output);
      const bool ended = waitpid(child.pid, &status, WNOHANG) == child.pid;
      // Others may hold the pipe when the program has ended: what it wrote itself is there by now.
      if (ended && open) pass_on(child.output);
      if (const absl::Status reported = report(ended); !reported.ok() && verdict == 0) {
        verdict = fail(reported);
        kill(child.pid, SIGTERM);
        if (ended) return verdict;
      }
      if (!ended) continue;
      if (verdict != 0) return verdict;
      if (stopped != 0) return kResumeMe;
      return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
  }
  void artifacts(const std::vector<std::string>& artifacts) const {
    for (const std::string& text : artifacts) {
      const size_t equals = text.find('=');
      const std::string path = text.substr(equals + 1);
      if (!std::filesystem::exists(path)) {
        fmt::print(stderr, "scalelaw-adapt: no artifact: {} is not there\n", path);
        continue;
      }
      const nlohmann::json event = {
          {"event", "artifact"}, {"name", text.substr(0, equals)}, {"path", path}, {"kind", "model"}};
      events_.append(event.dump() + "\n");
    }
  }

 private:
  /// Waits a while for output and passes it on; false when there will be no more.
  bool pass_on(int fd) {
    pollfd waiting{fd, POLLIN, 0};
    if (poll(&waiting, 1, kPollMs) <= 0) return true;
    char buffer[64 << 10];
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0) return errno == EINTR;
    if (n == 0) return false;
    std::fwrite(buffer, 1, static_cast<size_t>(n), stdout);
    std::fflush(stdout);
    if (output_ != nullptr) output_->append({buffer, static_cast<size_t>(n)});
    return true;
  }
  absl::Status report(bool ended) {
    const auto now = std::chrono::steady_clock::now();
    if (!ended && now - reported_ < std::chrono::milliseconds(kPollMs)) return absl::OkStatus();
    reported_ = now;
    for (const std::unique_ptr<Reports>& reports : reports_) {
      const absl::StatusOr<std::vector<Record>> records = reports->poll(ended);
      if (!records.ok()) return records.status();
      for (const Record& record : *records) {
        const absl::StatusOr<std::string> events = reporter_.events(record);
        if (!events.ok()) return events.status();
        events_.append(*events);
      }
    }
    return absl::OkStatus();
  }

  Reporter reporter_;
  std::vector<std::unique_ptr<Reports>> reports_;
  OutputReports* output_;
  EventFile events_;
  std::chrono::steady_clock::time_point reported_;
};

int run(const Options& options) {
  nlohmann::json spec = nlohmann::json::object();
  if (const char* path = std::getenv("SCALELAW_SPEC"); path != nullptr)
    spec = nlohmann::json::parse(read_file(path), nullptr, false);
  absl::StatusOr<RunFacts> facts = facts_of(spec);
  if (!facts.ok()) return fail(facts.status());
  absl::StatusOr<Reporter> reporter = Reporter::make(options.meaning, *std::move(facts));
  if (!reporter.ok()) return fail(reporter.status());

  std::vector<std::unique_ptr<Reports>> reports;
  OutputReports* output = nullptr;
  if (!options.output.empty()) {
    absl::StatusOr<std::unique_ptr<OutputReports>> made = OutputReports::make(options.output);
    if (!made.ok()) return fail("--output: " + std::string(made.status().message()));
    output = made->get();
    reports.push_back(*std::move(made));
  }
  if (!options.jsonl.empty()) reports.push_back(jsonl_reports(options.jsonl));
  if (!options.csv.empty()) reports.push_back(csv_reports(options.csv));
  if (!options.tensorboard.empty()) reports.push_back(tensorboard_reports(options.tensorboard));
  if (!options.trainer_state.empty()) reports.push_back(trainer_state_reports(options.trainer_state));
  if (reports.empty())
    return fail("where are the program's reports? Give --output, --jsonl, --csv, --tensorboard or --trainer-state");

  std::vector<std::string> command;
  for (const std::string& word : options.command) {
    absl::StatusOr<std::string> argument = filled(word, reporter->facts());
    if (!argument.ok()) return fail(argument.status());
    command.push_back(*std::move(argument));
  }
  struct sigaction action {};
  action.sa_handler = on_stop;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  const absl::StatusOr<Child> child = start(command);
  if (!child.ok()) return fail(child.status());
  Adapter adapter(*std::move(reporter), std::move(reports), output);
  const int exit = adapter.follow(*child);
  if (exit == 0) adapter.artifacts(options.artifacts);
  return exit;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  // Split here: what follows may look like options of ours.
  char** const end = argv + argc;
  char** const mark = std::find(argv + 1, end, std::string_view("--"));
  if (mark != end) options.command.assign(mark + 1, end);
  CLI::App app(
      "Runs a training program that knows nothing of scalelaw, and reports for it. In a sweep, write `source:` beside "
      "`command:`; this is what it becomes.",
      "scalelaw-adapt");
  app.add_option("--output", options.output,
                 "Regular expression (RE2) over lines of the program's output; its named groups are fields");
  app.add_option("--jsonl", options.jsonl, "File of JSON objects or Python dicts, one per line; `*` matches anything");
  app.add_option("--csv", options.csv, "Table whose first line names the columns");
  app.add_option("--tensorboard", options.tensorboard, "Folder of TensorBoard event files");
  app.add_option("--trainer-state", options.trainer_state, "Hugging Face's trainer_state.json");
  app.add_option("--step", options.meaning.step, "The step, an expression over the fields; default: the field step");
  app.add_option("--metric", options.meaning.metrics,
                 "A field, or NAME=EXPRESSION; may be repeated. Default: every field that nothing else uses");
  app.add_option("--params", options.meaning.params, "Backbone parameters, an expression over the run's parameters");
  app.add_option("--samples", options.meaning.samples, "Samples seen, such as step*batch_size");
  app.add_option("--flops-per-sample", options.meaning.flops_per_sample, "Training FLOPs per sample");
  app.add_option("--artifact", options.artifacts, "NAME=PATH, reported when the program has succeeded");
  app.footer(
      "Example: scalelaw-adapt --output 'step (?P<step>[0-9]+) loss (?P<loss>[0-9.]+)' --samples step*batch -- "
      "python3 train.py --width {width}");
  CLI11_PARSE(app, static_cast<int>(mark - argv), argv);
  if (options.command.empty()) return fail("no program: write it after --, as in the example of --help");
  return run(options);
}
