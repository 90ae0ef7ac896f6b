#include "trainer/loop/pace.h"

#include <algorithm>

namespace scalelaw::trainer {

void Pace::start(double flops_done, Clock::time_point now) {
  done_ = window_done_ = flops_done;
  window_start_ = now;
}

void Pace::reached(double flops_done, Clock::time_point now) {
  done_ = flops_done;
  double seconds = std::chrono::duration<double>(now - window_start_).count();
  if (seconds < 0.5 || done_ <= window_done_) return;
  double measured = (done_ - window_done_) / seconds;
  rate_ = rate_ == 0 ? measured : 0.7 * rate_ + 0.3 * measured;
  window_done_ = done_;
  window_start_ = now;
}

double Pace::fraction() const {
  return std::clamp(done_ / (training_flops_ + evaluation_flops_), 0.0, 1.0);
}

std::optional<double> Pace::seconds_left() const {
  if (rate_ == 0) return std::nullopt;
  return std::max(0.0, (training_flops_ + evaluation_flops_ - done_) / rate_);
}

double Pace::evaluation_seconds() const {
  return rate_ == 0 ? 0 : evaluation_flops_ / rate_;
}

}  // namespace scalelaw::trainer
