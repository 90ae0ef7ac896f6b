// Questions about observations and the forms that they may follow, answered for the server and for a command line
// without one.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "analysis/law.h"
#include "scalelaw/v1/laws.pb.h"

namespace scalelaw {

/// A fit by each form (of breaks: with one) that can be fitted to the observations, of its own columns; bounded ones
/// where the options have chance and ceiling.
std::vector<analysis::FitOptions> possible_fits(const std::vector<analysis::Observation>& observations,
                                                const analysis::FitOptions& options);

/// The form that stands for all that extrapolate as well as the best: `analysis::fit_stack`.
inline constexpr const char* kStack = "stack";
/// `analysis::fit`, with the hash of what it was fitted to; for the form `stack`, the best of the forms that the
/// observations allow, with the others that extrapolate as well as its rivals; for a chain, `analysis::fit_chain` by
/// way of `losses`, of which other forms need none. Errors: as these; INVALID_ARGUMENT for losses without a chain, and
/// the other way round.
absl::StatusOr<analysis::Law> fit_law(const std::vector<analysis::Observation>& observations,
                                      const std::vector<analysis::Observation>& losses, analysis::FitOptions options);

/// `options`: what the request's FitRequest means to a fit (metric, bounds, filters, seed). Errors: as
/// analysis::select_form, analysis::compare_approaches, analysis::diagnose.
absl::StatusOr<v1::Ranking> answer(const v1::RankRequest& request,
                                   const std::vector<analysis::Observation>& observations,
                                   const analysis::FitOptions& options);
absl::StatusOr<v1::ApproachesResponse> answer(const v1::ApproachesRequest& request,
                                              const std::vector<analysis::Observation>& observations,
                                              const analysis::FitOptions& options);
absl::StatusOr<v1::Diagnosis> answer(const v1::DiagnoseRequest& request,
                                     const std::vector<analysis::Observation>& observations,
                                     const analysis::FitOptions& options);

}  // namespace scalelaw
