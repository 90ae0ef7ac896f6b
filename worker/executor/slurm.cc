#include "worker/executor/slurm.h"

#include <signal.h>

#include <algorithm>
#include <random>
#include <utility>

#include <absl/strings/strip.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "worker/attempt/files.h"
#include "worker/executor/command.h"

namespace scalelaw::worker {
namespace {

using namespace std::chrono_literals;

constexpr auto kCommandLimit = 30s;
constexpr auto kRound = 200ms;
constexpr auto kUrgentPoll = 1s;
constexpr auto kFirstRetry = 2s;
constexpr auto kLongestRetry = 60s;
constexpr auto kArrival = 5s;
constexpr auto kComplainEvery = 60s;
constexpr auto kKillAgain = 5s;
// A file of another machine may show this much later.
constexpr auto kFileLag = 5s;
constexpr auto kAccountsLag = 30s;
// A supervisor that gives no sign of life for so long is gone; file systems of several machines hold signs back.
constexpr auto kSilence = 90s;
constexpr int kMostSubmissions = 5;

// Defaults of the user's that would change what is listed, and how.
const std::vector<std::string> kUnset = {"SQUEUE_", "SACCT_", "SLURM_TIME_FORMAT"};

std::string random_name(AttemptId attempt) {
  std::random_device random;
  return fmt::format("scalelaw-{}-{:08x}{:08x}", raw(attempt), random(), random());
}

std::optional<Exit> read_exit(const AttemptDir& dir) {
  const auto text = read_file(dir.exit());
  if (!text.ok()) return std::nullopt;
  const auto exit = exit_from_json(*text);
  if (exit.ok()) return *exit;
  return Exit{.code = 1, .error = std::string(exit.status().message()), .cause = Exit::Cause::kInfrastructure};
}

// Network file systems remember for a while that a file was not there; listing its directory makes them look.
void refresh(const AttemptDir& dir) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path, ignored)) (void)entry;
}

// The queue has nothing to add.
bool is_conclusive(const Exit& exit) {
  return exit.code == 0 || exit.code == kCannotSucceed || exit.cause == Exit::Cause::kPermanent ||
         exit.cause == Exit::Cause::kInfrastructure;
}

Exit broken(std::string error) {
  return {.code = 1, .error = std::move(error), .cause = Exit::Cause::kInfrastructure};
}

}  // namespace

struct SlurmExecutor::Job {
  enum class Step {
    kToSubmit,
    /// Perhaps submitted: the queue knows.
    kUnclear,
    kSubmitted,
  };

  AttemptDir dir;

  // The thread's alone:
  Step step = Step::kToSubmit;
  std::string name = {};
  std::string id = {};
  int submissions = 0;
  // Looks at the queue that began earlier say nothing of it.
  Clock::time_point submitted_at{};
  Clock::time_point retry_at{};
  std::optional<Clock::time_point> missing_since = {};
  std::filesystem::file_time_type last_sign = {};
  Clock::time_point sign_seen{};
  std::optional<Clock::time_point> over_since = {};
  std::optional<Clock::time_point> killed_at = {};

  // Under the lock:
  std::optional<Clock::time_point> kill_at = {};
  bool told = false;
  std::optional<Exit> end = {};

  // Whether its supervisor still gives signs of life, whatever Slurm knows.
  bool lives() {
    std::error_code ignored;
    const auto sign = std::filesystem::last_write_time(dir.supervisor(), ignored);
    if (std::exchange(last_sign, sign) != sign) sign_seen = Clock::now();
    return Clock::now() - sign_seen < kSilence;
  }
  // The name before the job is submitted, the id after.
  absl::Status save() const {
    return write_file(dir.slurm_job(), nlohmann::json{{"name", name}, {"job", id}}.dump() + "\n");
  }
  void load() {
    const auto text = read_file(dir.slurm_job());
    const auto json = nlohmann::json::parse(text.ok() ? *text : "", nullptr, false);
    if (!json.is_object()) return;
    name = json.value("name", "");
    id = json.value("job", "");
    if (!name.empty()) step = id.empty() ? Step::kUnclear : Step::kSubmitted;
    // What the earlier worker had sent may not have arrived yet.
    retry_at = Clock::now() + kArrival;
  }
};

SlurmExecutor::SlurmExecutor(SlurmOptions options) : options_(std::move(options)), thread_([this] { run(); }) {}

SlurmExecutor::~SlurmExecutor() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Executor::Offer SlurmExecutor::offer() const {
  const SlurmRequest& request = options_.request;
  Offer offer{.slots = options_.slots,
              .labels = {{"executor", "slurm"}},
              .gpu_model = gpu_model(request.gres_per_slot),
              .gpu_memory_bytes = options_.gpu_memory_bytes,
              .places_gangs = true};
  offer.slot = fmt::format("{} CPUs{}{} in Slurm jobs", request.cpus_per_slot,
                           request.gres_per_slot.empty() ? "" : " and " + request.gres_per_slot,
                           request.partition.empty() ? "" : " of partition " + request.partition);
  if (!request.partition.empty()) offer.labels["partition"] = request.partition;
  return offer;
}

// GPUs are Slurm's to name.
std::map<std::string, std::string> SlurmExecutor::environment(const std::vector<int>& slots) const {
  return slot_environment(slots, {.cpu_threads = options_.request.cpus_per_slot, .gpus = false});
}

SlurmExecutor::Job& SlurmExecutor::job(const AttemptDir& dir) {
  JobPtr& entry = jobs_[dir.path];
  if (entry == nullptr) {
    entry = std::make_shared<Job>(Job{.dir = dir});
    entry->load();
    woken_ = true;
    wake_.notify_all();
  }
  return *entry;
}

absl::Status SlurmExecutor::start(const AttemptDir& dir) {
  const std::lock_guard lock(mutex_);
  job(dir);
  return absl::OkStatus();
}

Executor::Observation SlurmExecutor::observe(const AttemptDir& dir) {
  const bool running = std::filesystem::exists(dir.supervisor());
  const std::optional<Exit> exit = read_exit(dir);
  const std::lock_guard lock(mutex_);
  Job& seen = job(dir);
  if (!seen.end && exit && is_conclusive(*exit)) seen.end = exit;
  if (seen.end) {
    const Observation over{Phase::kEnded, std::move(seen.end)};
    jobs_.erase(dir.path);
    return over;
  }
  if (exit) urgent_ = true;
  return {running ? Phase::kRunning : Phase::kStarting, {}};
}

bool SlurmExecutor::stop(const AttemptDir& dir, std::chrono::milliseconds grace) {
  const std::lock_guard lock(mutex_);
  Job& meant = job(dir);
  const auto deadline = Clock::now() + grace;
  meant.kill_at = meant.kill_at ? std::min(*meant.kill_at, deadline) : deadline;
  woken_ = true;
  wake_.notify_all();
  return meant.told;
}

// ---- The thread that speaks to Slurm.

void SlurmExecutor::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    woken_ = false;
    lock.unlock();
    const std::vector<JobPtr> jobs = open_jobs();
    for (const JobPtr& job : jobs) {
      if (job->step == Job::Step::kToSubmit && Clock::now() >= job->retry_at) submit(*job);
    }
    pass_on_stops(jobs);
    look(jobs);
    lock.lock();
    const auto news = [this] { return woken_ || ending_; };
    jobs_.empty() ? wake_.wait(lock, news) : (void)wake_.wait_for(lock, kRound, news);
  }
}

std::vector<SlurmExecutor::JobPtr> SlurmExecutor::open_jobs() {
  const std::lock_guard lock(mutex_);
  std::vector<JobPtr> open;
  for (const auto& [path, job] : jobs_) {
    if (!job->end) open.push_back(job);
  }
  return open;
}

void SlurmExecutor::end(Job& job, Exit exit) {
  const std::lock_guard lock(mutex_);
  if (!job.end) job.end = std::move(exit);
}

void SlurmExecutor::submit(Job& job) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return;
    if (job.kill_at) {
      job.told = true;
      if (!job.end) job.end = broken("stopped before it was submitted to Slurm");
      return;
    }
  }
  const auto text = read_file(job.dir.launch());
  const auto launch = text.ok() ? launch_from_json(*text) : text.status();
  if (!launch.ok()) return end(job, broken(std::string(launch.status().message())));
  if (job.name.empty()) job.name = random_name(launch->attempt);
  if (const absl::Status saved = job.save(); !saved.ok()) return end(job, broken(std::string(saved.message())));

  ++job.submissions;
  const auto result = run_command(sbatch_arguments(options_.request, *launch, job.dir, job.name),
                                  batch_script(options_.program, job.dir), kCommandLimit);
  job.submitted_at = Clock::now();
  const std::string problem =
      !result.ok() ? std::string(result.status().message())
                   : std::string(absl::StripAsciiWhitespace(result->exit_code == 0 ? "" : result->errors));
  if (result.ok() && result->exit_code == 0) {
    // `12` or `12;cluster`
    job.id = result->output.substr(0, result->output.find_first_of(";\n"));
    job.step = Job::Step::kSubmitted;
    if (const absl::Status saved = job.save(); !saved.ok()) spdlog::warn("{}", std::string(saved.message()));
    spdlog::info("attempt {} of run {} is Slurm job {}", raw(launch->attempt), raw(launch->run), job.id);
  } else if (absl::IsDeadlineExceeded(result.status()) || worth_another_try(problem)) {
    job.step = Job::Step::kUnclear;
    job.retry_at = job.submitted_at + std::min<Clock::duration>(kLongestRetry, kFirstRetry * job.submissions);
    complain(problem);
  } else {
    end(job, broken(problem.starts_with("sbatch") ? problem : "sbatch: " + problem));
  }
}

void SlurmExecutor::look(const std::vector<JobPtr>& jobs) {
  const auto now = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    const auto is_submitted = [](const JobPtr& job) { return !job->end && job->step != Job::Step::kToSubmit; };
    const bool unclear =
        std::any_of(jobs.begin(), jobs.end(), [](const JobPtr& job) { return job->step == Job::Step::kUnclear; });
    const bool urgent = urgent_ || unclear;
    if (std::none_of(jobs.begin(), jobs.end(), is_submitted)) return;
    if (now < last_look_ + (urgent ? std::min<Clock::duration>(kUrgentPoll, options_.poll) : options_.poll)) return;
    urgent_ = false;
  }
  last_look_ = now;
  const auto listed = run_command(squeue_arguments(), "", kCommandLimit, kUnset);
  if (!listed.ok()) return complain(std::string(listed.status().message()));
  if (listed->exit_code != 0) return complain(listed->errors);
  const SlurmJobs queue = parse_squeue(listed->output);

  std::vector<JobPtr> missing;
  std::vector<std::string> surplus;
  for (const JobPtr& job : jobs) {
    if (job->step == Job::Step::kToSubmit || job->submitted_at > now) continue;
    const auto [first, last] = queue.equal_range(job->name);
    if (job->step == Job::Step::kUnclear && first != last) {
      job->id = first->second.id;
      job->step = Job::Step::kSubmitted;
      spdlog::info("found Slurm job {} of {}", job->id, job->dir.path.filename().string());
      if (const absl::Status saved = job->save(); !saved.ok()) spdlog::warn("{}", std::string(saved.message()));
    }
    const SlurmJob* seen = nullptr;
    for (auto entry = first; entry != last; ++entry) {
      if (entry->second.id == job->id) {
        seen = &entry->second;
      } else if (!is_over(entry->second)) {
        surplus.push_back(entry->second.id);
      }
    }
    seen != nullptr ? settle(*job, *seen) : missing.push_back(job);
  }
  if (!surplus.empty()) scancel({}, surplus);
  settle_missing(missing);
}

void SlurmExecutor::settle(Job& job, const SlurmJob& seen) {
  if (!is_over(seen)) return;
  refresh(job.dir);
  const std::optional<Exit> exit = read_exit(job.dir);
  if (!job.over_since) job.over_since = Clock::now();
  if (!exit && !seen.nodes.empty() && Clock::now() - *job.over_since < kFileLag) {
    const std::lock_guard lock(mutex_);
    urgent_ = true;
    return;
  }
  end(job, end_of_job(seen, exit, std::filesystem::exists(job.dir.supervisor())));
}

void SlurmExecutor::settle_missing(const std::vector<JobPtr>& missing) {
  std::vector<std::string> ids;
  for (const JobPtr& job : missing) {
    if (job->step == Job::Step::kSubmitted) ids.push_back(job->id);
  }
  SlurmJobs accounted;
  if (!ids.empty()) {
    // A cluster without accounting has no answer, and says so with an exit code.
    const auto listed = run_command(sacct_arguments(ids), "", kCommandLimit, kUnset);
    if (listed.ok() && listed->exit_code == 0) accounted = parse_sacct(listed->output);
  }
  for (const JobPtr& job : missing) {
    if (job->step == Job::Step::kUnclear) {
      if (Clock::now() >= job->retry_at) job->step = Job::Step::kToSubmit;
      continue;
    }
    const auto [first, last] = accounted.equal_range(job->name);
    const auto found = std::find_if(first, last, [&](const auto& entry) { return entry.second.id == job->id; });
    if (found != last && is_over(found->second)) {
      settle(*job, found->second);
      continue;
    }
    // The accounts lag behind, and a controller that lost the job never closes them.
    if (!job->missing_since) job->missing_since = Clock::now();
    if (found != last && Clock::now() - *job->missing_since < kAccountsLag) continue;
    refresh(job->dir);
    if (const auto exit = read_exit(job->dir)) {
      end(*job, *exit);
    } else if (!std::filesystem::exists(job->dir.supervisor()) && job->submissions < kMostSubmissions) {
      spdlog::warn("Slurm has lost job {}, which had not begun: submitting it again", job->id);
      job->id.clear();
      job->missing_since.reset();
      job->step = Job::Step::kToSubmit;
    } else if (!job->lives()) {
      end(*job, broken(fmt::format("Slurm no longer knows job {}, and nobody recorded its end", job->id)));
    }
  }
}

void SlurmExecutor::pass_on_stops(const std::vector<JobPtr>& jobs) {
  const auto now = Clock::now();
  std::vector<JobPtr> to_tell;
  std::vector<std::string> tell;
  std::vector<std::string> kill;
  std::vector<std::string> cancel;
  {
    const std::lock_guard lock(mutex_);
    for (const JobPtr& job : jobs) {
      if (!job->kill_at || job->step != Job::Step::kSubmitted || job->over_since) continue;
      if (!job->told) to_tell.push_back(job);
      if (now < *job->kill_at) {
        if (!job->told) tell.push_back(job->id);
      } else if (!job->killed_at) {
        kill.push_back(job->id);
        job->killed_at = now;
      } else if (now - *job->killed_at >= kKillAgain) {
        cancel.push_back(job->id);
        job->killed_at = now;
      }
    }
    if (tell.empty() && kill.empty() && cancel.empty()) return;
    urgent_ = true;
  }
  std::vector<std::string> any = tell;
  any.insert(any.end(), kill.begin(), kill.end());
  bool passed_on = any.empty() || scancel({"--state=PENDING"}, any);
  if (!tell.empty()) passed_on = scancel({"--batch", "--signal=TERM"}, tell) && passed_on;
  if (!kill.empty()) passed_on = scancel({"--full", "--signal=KILL"}, kill) && passed_on;
  if (!cancel.empty()) passed_on = scancel({}, cancel) && passed_on;
  if (!passed_on) return;
  const std::lock_guard lock(mutex_);
  for (const JobPtr& job : to_tell) job->told = true;
}

// False if the controller did not answer. Jobs that are over by now, or not in this state, are as good as told.
bool SlurmExecutor::scancel(std::vector<std::string> options, const std::vector<std::string>& ids) {
  options.insert(options.begin(), "scancel");
  options.insert(options.end(), ids.begin(), ids.end());
  const auto result = run_command(options, "", kCommandLimit);
  const std::string problem = !result.ok() ? std::string(result.status().message()) : result->errors;
  if (result.ok() && !worth_another_try(problem)) return true;
  complain(problem);
  return false;
}

void SlurmExecutor::complain(const std::string& what) {
  if (last_complaint_ != Clock::time_point{} && Clock::now() - last_complaint_ < kComplainEvery) return;
  last_complaint_ = Clock::now();
  spdlog::warn("Slurm: {}; jobs go on, trying again", std::string(absl::StripAsciiWhitespace(what)));
}

}  // namespace scalelaw::worker
