// How far a long fit has come, in one line on the terminal that rewrites itself.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

namespace scalelaw::cli {

/// `bootstrap  1200 of 4000, 3 s left`. Pure.
std::string fit_progress_line(int done, int total, double elapsed_s);

/// Shows nothing in the first second, nor where standard error is no terminal. Safe from several threads.
class FitProgress {
 public:
  explicit FitProgress(int total);
  /// Clears the line.
  ~FitProgress();
  FitProgress(const FitProgress&) = delete;
  FitProgress& operator=(const FitProgress&) = delete;

  void report(int done);

 private:
  using Clock = std::chrono::steady_clock;
  const int total_;
  const bool terminal_;
  const Clock::time_point start_ = Clock::now();
  std::mutex mutex_;
  Clock::time_point shown_ = start_;
  bool visible_ = false;
};

}  // namespace scalelaw::cli
