// The dashboard's JSON, all of it read-only. Messages of the API appear as `scalelaw --json` prints them
// (proto/message_json.h).
//
//   /api/studies                    studies with what they used, and their sweeps
//   /api/sweeps/S                   a sweep and its runs
//   /api/sweeps/S/curves            its curves: metric (default: a loss), axis (step, samples, flops), log (1), points,
//                                   from, to, runs
//   /api/runs/R                     a run with its artifacts
//   /api/runs/R/log                 its output: after (a chunk's id)
//   /api/runs/R/artifacts/NAME      an image that it made
//   /api/laws                       stored laws: study
//   /api/laws/L                     a law with all that its plots show
//   /api/laws/L/predict             at columns: flops, params, …
//   /api/laws/L/optimal             the best size: flops
//   /api/laws/L/rank                forms by how they extrapolate on its study's runs: draws (0: errors alone)
//   /api/compare                    two laws: a, b, and where (at, several; default: the largest compute of both)
//   /api/cluster                    workers, what they run, what waits and why
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <absl/status/statusor.h>

#include "server/answers/law_answers.h"
#include "server/answers/presentation.h"
#include "server/http/answer.h"
#include "server/http/target.h"
#include "server/store/store.h"

namespace scalelaw::server {

/// Thread-safe; blocks its caller.
class Api {
 public:
  /// All must outlive it.
  Api(const Store& store, const Presentation& presentation, LawAnswers& laws)
      : store_(store), presentation_(presentation), laws_(laws) {}

  /// `target` begins with `api`. NOT_FOUND where there is nothing under this path.
  HttpAnswer answer(const Target& target);
  /// Whether the answer may take seconds of computing.
  static bool slow(const Target& target);

 private:
  using Result = absl::StatusOr<HttpAnswer>;
  struct Route {
    /// `*` stands for any one part.
    std::vector<std::string> path;
    Result (Api::*handler)(const Target& target);
    bool slow = false;
  };
  static const Route* route_of(const Target& target);

  /// The one that is asked for, else a loss, else the first of those that the sweep's runs report; empty for none.
  absl::StatusOr<std::string> metric_of(const Target& target, int32_t sweep_id) const;

  Result studies(const Target& target);
  Result sweep(const Target& target);
  Result curves(const Target& target);
  Result run(const Target& target);
  Result log(const Target& target);
  Result artifact(const Target& target);
  Result laws(const Target& target);
  Result law(const Target& target);
  Result predict(const Target& target);
  Result optimal(const Target& target);
  Result rank(const Target& target);
  Result compare(const Target& target);
  Result cluster(const Target& target);

  const Store& store_;
  const Presentation& presentation_;
  LawAnswers& laws_;
  std::mutex law_views_mutex_;
  /// Law → the hash of its study's observations, and its view of them: every change asks for it again.
  std::map<int32_t, std::pair<std::string, std::string>> law_views_;
};

}  // namespace scalelaw::server
