#include "cli/fit_progress.h"

#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

#include "cli/format.h"

namespace scalelaw::cli {
namespace {

constexpr std::chrono::milliseconds kFirst{1000}, kBetween{200};
constexpr const char* kClearLine = "\r\033[K";

}  // namespace

std::string fit_progress_line(int done, int total, double elapsed_s) {
  const std::string counts = fmt::format("bootstrap  {} of {}", done, total);
  if (done <= 0 || done >= total) return counts;
  return fmt::format("{}, {} left", counts, format_duration(elapsed_s * (total - done) / done));
}

FitProgress::FitProgress(int total) : total_(total), terminal_(isatty(STDERR_FILENO) == 1) {}

FitProgress::~FitProgress() {
  if (visible_) fmt::print(stderr, "{}", kClearLine);
}

void FitProgress::report(int done) {
  if (!terminal_) return;
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  if (now - start_ < kFirst || (visible_ && now - shown_ < kBetween)) return;
  fmt::print(stderr, "{}{}", kClearLine,
             fit_progress_line(done, total_, std::chrono::duration<double>(now - start_).count()));
  std::fflush(stderr);
  shown_ = now;
  visible_ = true;
}

}  // namespace scalelaw::cli
