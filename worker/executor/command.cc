#include "worker/executor/command.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <sstream>
#include <system_error>

#include <fmt/format.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/process.hpp>
#include <boost/process/extend.hpp>

namespace scalelaw::worker {

namespace bp = boost::process;

namespace {

// Boost's own search needs a library of its own.
std::string find_in_path(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "");
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string program = directory + "/" + name;
    if (::access(program.c_str(), X_OK) == 0) return program;
  }
  return "";
}

}  // namespace

absl::StatusOr<CommandResult> run_command(const std::vector<std::string>& argv, const std::string& input,
                                          std::chrono::seconds limit, const std::vector<std::string>& unset) {
  const std::string program = find_in_path(argv.at(0));
  if (program.empty()) return absl::NotFoundError(fmt::format("there is no program {} in PATH", argv[0]));
  bp::environment environment = boost::this_process::environment();
  for (const auto& variable : boost::this_process::environment()) {
    for (const std::string& prefix : unset) {
      if (variable.get_name().starts_with(prefix)) environment.erase(variable.get_name());
    }
  }

  boost::asio::io_context loop;
  std::future<std::string> output;
  std::future<std::string> errors;
  std::error_code error;
  const auto die_with_us = bp::extend::on_exec_setup([](auto&) { ::prctl(PR_SET_PDEATHSIG, SIGKILL); });
  bp::child child(program, bp::args(std::vector<std::string>(argv.begin() + 1, argv.end())), environment,
                  bp::std_in<boost::asio::buffer(input), bp::std_out> output, bp::std_err > errors, loop, error,
                  die_with_us);
  if (error) return absl::UnavailableError(fmt::format("cannot run {}: {}", argv[0], error.message()));
  // Until both outputs are closed, or there is no more time.
  loop.run_for(limit);
  const bool in_time = loop.stopped();
  if (!in_time) child.terminate(error);
  child.wait(error);
  if (!in_time) return absl::DeadlineExceededError(fmt::format("{} took more than {} s", argv[0], limit.count()));
  return CommandResult{child.exit_code(), output.get(), errors.get()};
}

}  // namespace scalelaw::worker
