// What squeue and sacct print, other people's job names included; resources that a user types.
#include "tests/fuzz/check.h"
#include "worker/executor/slurm_jobs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace scalelaw::worker;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const SlurmJobs& jobs : {parse_squeue(text), parse_sacct(text)}) {
    for (const auto& [name, job] : jobs) {
      if (is_over(job)) CHECK_THAT(!end_of_job(job, std::nullopt, true).error.empty());
    }
  }
  if (const auto six = times_slots(text, 6); six.ok()) CHECK_THAT(*times_slots(*times_slots(text, 3), 2) == *six);
  return 0;
}
