#include "worker/executor/slurm_jobs.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <absl/strings/match.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace scalelaw::worker {
namespace {

// Slurm looks at its time limits twice a minute.
constexpr int kSignalMarginSeconds = 30;

std::vector<std::string> quoted(const std::vector<std::string>& words) {
  std::vector<std::string> result;
  for (const std::string& word : words)
    result.push_back(fmt::format("'{}'", absl::StrReplaceAll(word, {{"'", "'\\''"}})));
  return result;
}

// `32G` for 3 slots: `96G`.
std::string memory_for(const std::string& per_slot, std::size_t slots) {
  std::size_t amount = 0;
  const auto [unit, error] = std::from_chars(per_slot.data(), per_slot.data() + per_slot.size(), amount);
  return fmt::format("{}{}", amount * slots, std::string(unit, per_slot.data() + per_slot.size()));
}

// `fields` texts of each line, separated by `|`; the last takes the rest of the line.
std::vector<std::vector<std::string>> rows(const std::string& output, int fields) {
  std::vector<std::vector<std::string>> found;
  for (const absl::string_view line : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    std::vector<std::string> row = absl::StrSplit(line, absl::MaxSplits('|', fields - 1));
    if (static_cast<int>(row.size()) == fields) found.push_back(std::move(row));
  }
  return found;
}

}  // namespace

std::string gpu_model(const std::string& gres) {
  const std::vector<std::string> parts = absl::StrSplit(gres, ':');
  const bool named =
      parts.size() > 1 && parts[0] == "gpu" && parts[1].find_first_not_of("0123456789") != std::string::npos;
  return named ? parts[1] : "";
}

absl::StatusOr<std::string> times_slots(const std::string& gres, int slots) {
  const std::size_t colon = gres.rfind(':');
  const std::string last = colon == std::string::npos ? "" : gres.substr(colon + 1);
  if (last.empty() || last[0] < '0' || last[0] > '9') {
    if (gres.empty() || gres.back() == ':' || absl::StrContains(gres, ',')) {
      return absl::InvalidArgumentError(fmt::format("\"{}\" is no resource of one slot, such as gpu:h200:1", gres));
    }
    return fmt::format("{}:{}", gres, slots);
  }
  int count = 0;
  const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), count);
  const int most = std::numeric_limits<int>::max() / slots;
  if (error != std::errc() || end != last.data() + last.size() || count < 1 || count > most) {
    return absl::InvalidArgumentError(fmt::format("\"{}\": {} is no count, as in gpu:h200:1", gres, last));
  }
  return fmt::format("{}:{}", gres.substr(0, colon), count * slots);
}

std::vector<std::string> sbatch_arguments(const SlurmRequest& request, const Launch& launch, const AttemptDir& dir,
                                          const std::string& name) {
  const std::size_t slots = std::max<std::size_t>(1, launch.slots.size());
  const int signal_seconds = static_cast<int>(std::ceil(launch.grace_seconds)) + kSignalMarginSeconds;
  std::vector<std::string> words = {
      "sbatch",
      "--parsable",
      "--no-requeue",
      "--job-name=" + name,
      fmt::format("--comment=scalelaw run {} attempt {}", raw(launch.run), launch.attempt_number),
      "--output=" + dir.supervisor_log().string(),
      "--open-mode=append",
      "--chdir=" + launch.run_directory.string(),
      fmt::format("--nodes={}", launch.nodes),
      fmt::format("--ntasks={}", launch.nodes),
      "--ntasks-per-node=1",
      fmt::format("--cpus-per-task={}", slots * static_cast<std::size_t>(request.cpus_per_slot)),
      fmt::format("--signal=B:USR1@{}", signal_seconds)};
  const auto add = [&words](const char* option, const std::string& value) {
    if (!value.empty()) words.push_back(option + value);
  };
  add("--partition=", request.partition);
  add("--account=", request.account);
  add("--qos=", request.qos);
  add("--time=", request.time_limit);
  if (!request.gres_per_slot.empty()) {
    add("--gres=", times_slots(request.gres_per_slot, static_cast<int>(slots)).value_or(request.gres_per_slot));
  }
  if (!request.memory_per_slot.empty()) add("--mem=", memory_for(request.memory_per_slot, slots));
  words.insert(words.end(), request.extra.begin(), request.extra.end());
  return words;
}

std::vector<std::string> srun_arguments(const std::filesystem::path& worker_program, const Launch& launch,
                                        const AttemptDir& dir) {
  return {"srun",
          fmt::format("--ntasks={}", launch.nodes),
          "--ntasks-per-node=1",
          "--distribution=block",
          "--kill-on-bad-exit=1",
          "--export=ALL",
          worker_program.string(),
          "gang-member",
          dir.path.string()};
}

std::string batch_script(const std::filesystem::path& worker_program, const AttemptDir& dir) {
  // srun does not take it from sbatch.
  return fmt::format("#!/bin/sh\nexport SRUN_CPUS_PER_TASK=\"$SLURM_CPUS_PER_TASK\"\nexec {}\n",
                     fmt::join(quoted({worker_program.string(), "supervise-job", dir.path.string()}), " "));
}

bool worth_another_try(const std::string& errors) {
  // Texts of slurm_errno.c; there are no exit codes to go by.
  static constexpr std::array kPassing = {"Unable to contact slurm controller",
                                          "timed out",
                                          "temporarily unable",
                                          "SubmitJob",
                                          "Slurm backup controller in standby mode",
                                          "Communication connection failure",
                                          "Zero Bytes were transmitted"};
  return std::any_of(kPassing.begin(), kPassing.end(),
                     [&](const char* text) { return absl::StrContains(errors, text); });
}

std::vector<std::string> squeue_arguments() {
  return {"squeue", "--noheader", "--me", "--states=all", "--format=%i|%T|%r|%N|%j"};
}

SlurmJobs parse_squeue(const std::string& output) {
  SlurmJobs jobs;
  for (const auto& row : rows(output, 5)) jobs.emplace(row[4], SlurmJob{row[0], row[1], row[2], row[3]});
  return jobs;
}

std::vector<std::string> sacct_arguments(const std::vector<std::string>& ids) {
  return {"sacct",
          "--noheader",
          "--parsable2",
          "--allocations",
          "--duplicates",
          fmt::format("--jobs={}", fmt::join(ids, ",")),
          "--format=JobIDRaw,State,Reason,NodeList,JobName"};
}

SlurmJobs parse_sacct(const std::string& output) {
  SlurmJobs jobs;
  for (const auto& row : rows(output, 5)) {
    // `CANCELLED by 1000`
    jobs.emplace(row[4], SlurmJob{row[0], row[1].substr(0, row[1].find(' ')), row[2], row[3]});
  }
  return jobs;
}

bool is_over(const SlurmJob& job) {
  static constexpr std::array kOver = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE",      "FAILED",
                                       "NODE_FAIL", "PREEMPTED", "REVOKED",   "OUT_OF_MEMORY", "TIMEOUT"};
  return std::find(kOver.begin(), kOver.end(), job.state) != kOver.end();
}

Exit end_of_job(const SlurmJob& job, const std::optional<Exit>& exit, bool began) {
  const bool ran = !job.nodes.empty();
  const std::string name = fmt::format("Slurm job {}{}", job.id, ran ? " on " + job.nodes : "");
  Exit end = exit.value_or(Exit{.code = -SIGKILL});
  const bool has_spoken = exit && (exit->code == 0 || exit->code == kCannotSucceed);
  if (has_spoken) return end;
  const auto because = [&](const std::string& what, Exit::Cause cause) {
    end.error = fmt::format("{} {}", name, what);
    end.cause = cause;
    return end;
  };

  // A controller that lost its state gives ids out again; a node refuses the id of a job that it still holds.
  if (job.state == "CANCELLED" && ran && !began) {
    return because("was cancelled before it began", Exit::Cause::kInfrastructure);
  }
  if (job.state == "CANCELLED") {
    return because("was cancelled by someone (scancel); `scalelaw retry` queues its run again",
                   Exit::Cause::kPermanent);
  }
  if (job.state == "PREEMPTED") return because("was preempted", Exit::Cause::kStopped);
  if (job.state == "TIMEOUT" || job.state == "DEADLINE") {
    if (end.code == kInterrupted) return because("reached its time limit", Exit::Cause::kStopped);
    return because(
        "reached its time limit and was killed; give the worker a longer --time, or let the trainer save a checkpoint "
        "and exit 75 on SIGTERM",
        Exit::Cause::kTrainer);
  }
  if (job.state == "OUT_OF_MEMORY") {
    return because("used more memory than it has (worker option --mem-per-slot)", Exit::Cause::kTrainer);
  }
  if (job.state == "NODE_FAIL" || job.state == "BOOT_FAIL" || job.state == "REVOKED") {
    return because(fmt::format("was lost with its machine ({})", job.state), Exit::Cause::kInfrastructure);
  }
  if (exit) return end;
  return because(fmt::format("ended as {} ({}) without a word of its supervisor", job.state, job.reason),
                 Exit::Cause::kInfrastructure);
}

}  // namespace scalelaw::worker
