// Independent work on several threads; who does what never shows in the result.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

namespace scalelaw::analysis {

/// Calls body(i) once for every i in [0, count), on `threads` threads (0: one per core). `body` writes to place i only.
template <class Body>
void parallel_for(int count, int threads, const Body& body) {
  if (threads <= 0) threads = static_cast<int>(std::thread::hardware_concurrency());
  if (threads > count) threads = count;
  std::atomic<int> next{0};
  const auto work = [&] {
    for (int i = next.fetch_add(1, std::memory_order_relaxed); i < count;
         i = next.fetch_add(1, std::memory_order_relaxed))
      body(i);
  };
  std::vector<std::jthread> helpers;
  for (int t = 1; t < threads; ++t) helpers.emplace_back(work);
  work();
}

}  // namespace scalelaw::analysis
