// How far a run is and how long it still takes, the final evaluation included.
#pragma once

#include <chrono>
#include <optional>

namespace scalelaw::trainer {

/// Work is measured in FLOPs: training's as counted, the evaluation's forward passes on top. The rate is the one
/// measured over the last few seconds, so that a machine that becomes busy shows at once.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  Pace(double training_flops, double evaluation_flops)
      : training_flops_(training_flops), evaluation_flops_(evaluation_flops) {}

  /// Begins (or goes on after a resume) at this much work done.
  void start(double flops_done, Clock::time_point now = Clock::now());
  void reached(double flops_done, Clock::time_point now = Clock::now());

  /// In [0, 1]; 1 only when the evaluation is done too.
  double fraction() const;
  /// Nothing until half a second of work has been seen.
  std::optional<double> seconds_left() const;
  /// Expected length of the evaluation; 0 while the rate is unknown.
  double evaluation_seconds() const;
  double evaluation_flops() const { return evaluation_flops_; }

 private:
  double training_flops_, evaluation_flops_;
  double done_ = 0, window_done_ = 0, rate_ = 0;  // rate: FLOPs per second, 0 while unknown
  Clock::time_point window_start_{};
};

}  // namespace scalelaw::trainer
