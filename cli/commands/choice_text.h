// Forms ranked, approaches compared and fits diagnosed, in words.
#pragma once

#include <string>

#include "cli/terminal.h"
#include "scalelaw/v1/laws.pb.h"

namespace scalelaw::cli {

std::string ranking_text(const v1::Ranking& ranking, const Terminal& terminal);
std::string approaches_text(const v1::ApproachesResponse& response, const Terminal& terminal);
std::string diagnosis_text(const v1::Diagnosis& diagnosis, const Terminal& terminal);

}  // namespace scalelaw::cli
