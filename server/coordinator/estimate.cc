#include "server/coordinator/estimate.h"

#include <algorithm>
#include <map>
#include <string>

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include "server/expansion/canonical_json.h"

namespace scalelaw::server {

namespace {
using google::protobuf::util::TimeUtil;

// Below this share of a run its rate is mostly start-up.
constexpr double kTellingProgress = 0.02;

/// The budget as a number; runs without one all count the same.
double work_of(const v1::Run& run) {
  switch (run.budget_case()) {
    case v1::Run::kBudgetFlops:
      return run.budget_flops();
    case v1::Run::kBudgetSamples:
      return static_cast<double>(run.budget_samples());
    case v1::Run::kBudgetSteps:
      return static_cast<double>(run.budget_steps());
    case v1::Run::BUDGET_NOT_SET:
      break;
  }
  return 1;
}

double elapsed_seconds(const v1::Run& run, int64_t now_ms) {
  const int64_t end = run.has_finished() ? TimeUtil::TimestampToMilliseconds(run.finished()) : now_ms;
  return std::max(0.0, static_cast<double>(end - TimeUtil::TimestampToMilliseconds(run.started())) / 1000);
}

/// seconds = overhead + work / rate, by least squares over what was seen.
class Pace {
 public:
  void add(double work, double seconds) {
    ++count_;
    sum_work_ += work;
    sum_seconds_ += seconds;
    sum_work_work_ += work * work;
    sum_work_seconds_ += work * seconds;
  }
  double seconds(double work) const {
    const double spread = count_ * sum_work_work_ - sum_work_ * sum_work_;
    // Equal amounts of work cannot tell overhead from rate.
    if (spread > 1e-6 * count_ * sum_work_work_) {
      const double slope = (count_ * sum_work_seconds_ - sum_work_ * sum_seconds_) / spread;
      const double overhead = (sum_seconds_ - slope * sum_work_) / count_;
      if (slope >= 0 && overhead >= 0) return overhead + slope * work;
    }
    return work * sum_seconds_ / sum_work_;
  }

 private:
  double count_ = 0;
  double sum_work_ = 0;
  double sum_seconds_ = 0;
  double sum_work_work_ = 0;
  double sum_work_seconds_ = 0;
};

/// Whom a run resembles, the closest first.
std::vector<std::string> kin_of(const v1::Run& run) {
  const int kind = run.budget_case();
  std::vector<std::string> keys = {fmt::format("{}/{}/{}", run.stage(), kind, canonical_json(run.params())),
                                   fmt::format("{}/{}", run.stage(), kind)};
  if (kind == v1::Run::kBudgetFlops) keys.emplace_back("flops");
  return keys;
}

class Paces {
 public:
  Paces(const std::vector<v1::Run>& runs, int64_t now_ms) {
    for (const v1::Run& run : runs) {
      // A resumed run's last attempt tells nothing about the whole.
      const bool finished = run.state() == v1::RUN_STATE_SUCCEEDED && run.attempts() == 1;
      const bool running =
          run.state() == v1::RUN_STATE_RUNNING && run.attempts() == 1 && run.progress() > kTellingProgress;
      if (!finished && !running) continue;
      for (const std::string& key : kin_of(run)) {
        paces_[key].add(work_of(run) * (finished ? 1 : run.progress()), elapsed_seconds(run, now_ms));
      }
    }
  }
  std::optional<double> seconds(const v1::Run& run) const {
    for (const std::string& key : kin_of(run)) {
      const auto found = paces_.find(key);
      if (found != paces_.end()) return found->second.seconds(work_of(run));
    }
    return std::nullopt;
  }

 private:
  std::map<std::string, Pace> paces_;
};

struct Job {
  double seconds = 0;
  int slots = 1;
};

/// When the jobs end if each, the longest first, takes the slots that become free first; `free_at` is brought up to
/// date.
void place(std::vector<Job> jobs, std::vector<double>& free_at) {
  std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) { return a.seconds > b.seconds; });
  for (const Job& job : jobs) {
    const size_t slots = std::min(free_at.size(), static_cast<size_t>(std::max(1, job.slots)));
    std::partial_sort(free_at.begin(), free_at.begin() + static_cast<int64_t>(slots), free_at.end());
    const double end = free_at[slots - 1] + job.seconds;
    std::fill_n(free_at.begin(), slots, end);
  }
}
}  // namespace

std::optional<double> run_seconds_left(const v1::Run& run, int64_t now_ms) {
  if (run.state() != v1::RUN_STATE_RUNNING) return std::nullopt;
  if (run.has_seconds_left()) return run.seconds_left();
  if (run.progress() <= kTellingProgress || run.attempts() != 1) return std::nullopt;
  return elapsed_seconds(run, now_ms) * (1 - run.progress()) / run.progress();
}

std::optional<double> sweep_seconds_left(const std::vector<v1::Run>& runs, int slots, int64_t now_ms) {
  const Paces paces(runs, now_ms);
  std::vector<Job> running;
  std::vector<Job> queued;
  std::vector<Job> waiting;
  for (const v1::Run& run : runs) {
    const Job shape{0, static_cast<int>(run.slots() * std::max(1u, run.workers()))};
    std::optional<double> seconds;
    std::vector<Job>* jobs = nullptr;
    if (run.state() == v1::RUN_STATE_RUNNING) {
      jobs = &running;
      seconds = run_seconds_left(run, now_ms);
      if (!seconds.has_value()) {
        seconds = paces.seconds(run);
        if (seconds.has_value()) *seconds *= 1 - run.progress();
      }
    } else if (run.state() == v1::RUN_STATE_QUEUED || run.state() == v1::RUN_STATE_WAITING) {
      jobs = run.state() == v1::RUN_STATE_QUEUED ? &queued : &waiting;
      seconds = paces.seconds(run);
    } else {
      continue;
    }
    if (!seconds.has_value()) return std::nullopt;
    jobs->push_back({*seconds, shape.slots});
  }
  if (slots <= 0 || running.size() + queued.size() + waiting.size() == 0) return std::nullopt;
  std::vector<double> free_at(static_cast<size_t>(slots), 0.0);
  place(std::move(running), free_at);
  place(std::move(queued), free_at);
  if (!waiting.empty()) std::fill(free_at.begin(), free_at.end(), *std::max_element(free_at.begin(), free_at.end()));
  place(std::move(waiting), free_at);
  return *std::max_element(free_at.begin(), free_at.end());
}

}  // namespace scalelaw::server
