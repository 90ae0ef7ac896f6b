// A law with all that its plots show, as JSON.
#pragma once

#include <vector>

#include <nlohmann/json.hpp>

#include "scalelaw/v1/laws.pb.h"
#include "server/answers/law_answers.h"

namespace scalelaw::server {

/// `law`, `runs` and `held_out` (observations), `score` (more is better), `chance`, `ceiling`, `noise` (of one run, in
/// the unit of the residuals), `residuals`, `frontier` ([FLOPs, value]) and `isoflop`; of a law of FLOPs `band`; of a
/// law over size and data `surface`: values on a grid, and the best sizes along compute.
/// `observations`: what the law's study has of its metric now. Takes up to seconds for a surface with many draws.
nlohmann::ordered_json law_view(const KnownLaw& known, const std::vector<v1::Observation>& observations);

}  // namespace scalelaw::server
