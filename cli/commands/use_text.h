// What laws are used for, in words: the best size, two recipes compared, the next runs.
#pragma once

#include <string>

#include "cli/terminal.h"
#include "scalelaw/v1/laws.pb.h"

namespace scalelaw::cli {

std::string optimum_text(const v1::Optimum& optimum, const Terminal& terminal);
std::string comparison_text(const v1::Comparison& comparison, const Terminal& terminal);
std::string plan_text(const v1::RunPlan& plan, const Terminal& terminal);

}  // namespace scalelaw::cli
