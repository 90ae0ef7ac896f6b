// What makes two runs the same training.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/expansion/expansion.h"

namespace scalelaw::server {

/// SHA-256 in hex of the canonical JSON of everything that decides a run's outcome. `inputs`: artifact name -> content
/// key of the run that makes it.
std::string content_key(const std::vector<std::string>& command, const ExpandedRun& run,
                        const std::map<std::string, std::string>& inputs);

}  // namespace scalelaw::server
